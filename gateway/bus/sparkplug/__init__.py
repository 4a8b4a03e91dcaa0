"""Sparkplug B 3.0 (ISO/IEC 20237): the gateway as an edge node, the second output beside the unified namespace.

    metrics.py   readings as metrics, columns at a time           pure
    changes.py   which readings are news                          pure
    node.py      what is said when: births, data, deaths          no I/O, no waiting
    host.py      what hosts say: STATE, commands                  pure
    session.py   connections, primary host, commands; the sink

and for `gateway sparkplug-check`, which holds any edge node against the standard:

    assertions.py   what there is to check                       pure
    rules.py        what a metric must be                        pure
    watch.py        what a node says, message by message         pure
    line.py         what only its connection shows

`tck-id-...` are the assertions of the specification. Topics and payload are in gateway/mqtt/sparkplug/, what is mapped
how in docs/sparkplug.md.
"""
