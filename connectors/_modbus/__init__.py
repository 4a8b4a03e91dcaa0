"""What connectors/modbus.py is made of. From the configuration to requests, and from answers to columns.

options.py address.py endpoint.py          keys, registers and URLs as people write them     pure
points.py blocks.py scan.py profile.py     what tags need, which requests read them, what devices teach
coding.py registers.py counters.py encoding.py   registers to columns, and one value back    pure

line.py unit.py flight.py depth.py         whose turn it is, and what is on its way
frames.py pdu.py link.py                   what travels, and on what

writing.py discover.py solve.py            one value back; what is there; how a known value is coded
"""
