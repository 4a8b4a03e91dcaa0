"""Physics of the shop floor: states are named tuples, `step` functions return the next one.

Nothing in here knows a clock, a socket, a file or a fault by name. Severities and random numbers come in as
arguments, so the same arguments give the same plant, bit for bit.
"""
