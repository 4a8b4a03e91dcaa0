"""The words of Sparkplug B 3.0 (ISO/IEC 20237): its topics and its payload (section 6).

names.py     ids and topics                                   pure
wire.py      protobuf: fields and varints, one or a column    pure
schema.py    payloads read back                               pure
"""
