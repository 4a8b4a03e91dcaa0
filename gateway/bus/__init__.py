"""The bus: MQTT topics of the unified namespace, what is said there, and the embedded broker.

    topics.py     names of the topics                            pure
    publisher.py  records onto the bus
    retained.py   the latest value of each tag onto the bus
    events.py     readings that are events, as CloudEvents       pure
    allowance.py  how many commands are taken                    pure
    bulletin.py   the ledger of each minute
    replay.py     batch messages once more, for who missed them
    asyncapi.py   the document of all that                       pure
    broker.py     the embedded broker, a child process           nats-server
    sparkplug/    the second output: an edge node of Sparkplug B

What a message says is in gateway/payload.py, because the API says the same; how MQTT is spoken, in gateway/mqtt/.
"""
