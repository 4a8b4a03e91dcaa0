"""Sparkplug B 3.0 (ISO/IEC 20237): the gateway as an edge node, the second output beside the unified namespace.

    names.py     ids and topics                                  pure
    wire.py      protobuf: fields and varints, one or a column    pure
    schema.py    payloads read back, for commands and checks      pure
    metrics.py   readings as metrics, columns at a time           pure
    changes.py   which readings are news                          pure
    node.py      what is said when: births, data, deaths          no I/O, no waiting
    host.py      what hosts say: STATE, commands                  pure
    session.py   connections, primary host, commands; the sink

`tck-id-...` are the assertions of the specification. What is mapped how is in docs/sparkplug.md.
"""
