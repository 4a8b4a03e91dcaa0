"""The bus: MQTT topics of the unified namespace, the connection, and the embedded broker.

    topics.py     names of the topics                            pure
    packets.py    control packets of MQTT 3.1.1                  pure
    mqtt.py       one connection to one broker
    publisher.py  records and retained values onto the bus
    broker.py     the embedded broker, a child process           nats-server

What a message says is in gateway/payload.py, because the API says the same.
"""
