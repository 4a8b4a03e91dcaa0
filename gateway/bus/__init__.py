"""The bus: MQTT topics of the unified namespace, the connection, and the embedded broker.

    topics.py     names of the topics                            pure
    varint.py     whole numbers as MQTT and protobuf have them   pure
    packets.py    control packets of MQTT                        pure
    properties.py what MQTT 5 adds to them                       pure
    flight.py     what has been sent and not been answered yet
    connection.py one connection to one broker
    mqtt.py       the way to it: version, TLS, user
    publisher.py  records onto the bus
    retained.py   the latest value of each tag onto the bus
    events.py     readings that are events, as CloudEvents       pure
    allowance.py  how many commands are taken                    pure
    bulletin.py   the ledger of each minute
    replay.py     batch messages once more, for who missed them
    asyncapi.py   the document of all that                       pure
    broker.py     the embedded broker, a child process           nats-server
    sparkplug/    the second output: an edge node of Sparkplug B

What a message says is in gateway/payload.py, because the API says the same.
"""
