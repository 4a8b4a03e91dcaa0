"""A bottling line to connect a gateway to: physics, faults, and the OPC UA and Modbus servers in front of them.

It is a stranger to the gateway and imports nothing of it. Inside, three things are kept apart:

    physics/   what the machines do; pure step functions, simulated time, seeded noise
    faults     what goes wrong, where and since when; physics and servers ask it
    servers/   what a client sees: OPC UA nodes and Modbus registers in wall-clock time

`plant.Plant` joins physics and faults and needs no event loop; `python -m simulators` adds the servers.
"""
