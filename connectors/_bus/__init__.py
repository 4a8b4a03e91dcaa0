"""What connectors/bus.py is made of.

options.py    keys of a device and its tags
path.py       where a value is in a JSON document             pure
values.py     payloads as values, values as columns           pure
topics.py     sensors: a topic, a value
numbering.py  which messages of another gateway are missing   pure
batches.py    batch messages of another gateway, and replay
births.py     what an edge node of Sparkplug has said of itself  pure
sparkplug.py  edge nodes of Sparkplug B
source.py     what these three have in common; remarks
discover.py   what is heard on a broker, as devices
"""
