"""What the gateway does on this machine, measured beside the limit of the machine, in one run.

    device.py    Modbus devices that answer from memory, a process of its own: never what is measured
    limit.py     the least that a Python program can do to read them: sockets and nothing else
    peers.py     other ways to read them: pymodbus, and libmodbus in C (libmodbus.c)
    reader.py    our connector for these devices, also alone in a process of its own
    acquire.py   our connector up to the point where a batch is handed over, beside those
    stages.py    acquire, then the journal, the bus, history, signals added one by one: CPU per value of each
    pipeline.py  the shipped command, from the device to an MQTT subscriber: rate, latency, memory, loss
    listener.py  that subscriber, a process of its own
    measured.py  what a round measures, and the processes beside it

    history.py   what history costs and how fast it answers, beside rows in a table
    bus.py       messages to a broker, beside paho and a socket that sends packets from memory
    sparkplug.py the same records as Sparkplug messages and as columnar JSON

    opcua.py     our OPC UA connector up to the same point, beside asyncua and the limit (opcua_limit.py)
    opcua_server.py  the server for it, a process of its own: channels; services are opcua_session.py, values
                     opcua_canned.py

Times of one machine on one day mean little; the ratios within one run do. CPU is seconds of all threads of the process
per million values.
"""
