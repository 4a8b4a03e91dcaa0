"""The servers in front of the plant: OPC UA and Modbus TCP, the control port, and the pace of wall-clock time.

A server turns what instruments show into what its protocol carries; it never changes what is true, but for the
set points a client may write.
"""
