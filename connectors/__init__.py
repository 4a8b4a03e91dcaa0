"""Connectors: one file per protocol, found by its name; helpers start with an underscore.

A module here offers SCHEMES, DeviceOptions, TagOptions, address and connector (see ProtocolModule in
gateway/contracts) and may import gateway.model and gateway.contracts, nothing else of the gateway. A connector
speaks its protocol and nothing more: retry, backoff and the quality of a lost device belong to the supervisor.
"""
