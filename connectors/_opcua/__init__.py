"""What connectors/opcua.py is made of. From the configuration to a session, and from the wire to columns.

options.py node.py rates.py                keys, nodes as people write them, which tags come how often    pure
security.py pki.py validation.py endpoints.py   who we are, whom we trust, which of a server's offers is taken
session.py calls.py resolve.py             the session, questions in batches, node ids of this server

monitoring.py publishing.py polling.py reading.py   subscriptions, their notifications, and what is read instead
decode.py records.py layout.py values.py variants.py extent.py structures.py   their bytes as columns
events.py event_filter.py                  events and conditions
bands.py deadband.py said.py gaps.py remarks.py   what is told, said and missing, and what people should know
backfill.py history.py                     what was missed, from the server's history

writing.py describing.py discover.py metadata.py   one value back; units and ranges; what else a server has
"""
