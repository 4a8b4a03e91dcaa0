"""The selftest: breaks everything around a gateway, and the gateway itself, and counts what that has cost.

    device.py   devices whose every answer is another number, and which remember what they answered
    line.py     the way to the broker, which can be cut and can swallow everything
    tally.py    what was produced, told and stored, compared; pure
    trial.py    a gateway as a child process, faults by chance, and how long it takes to recover

It stands outside: the gateway is the shipped command, asked over MQTT and HTTP like by anybody. See docs/selftest.md.
"""
