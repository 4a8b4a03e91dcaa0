"""The configuration: what people write, checked until it can be trusted.

    schema.py   the keys, as pydantic models; brokers.py, clients.py and identities.py have the larger ones
    yaml.py     a YAML file, with the line of every key
    load.py     file -> Config, or all that is wrong with it at once
    change.py   what is different between two of them
    versions.py those that were, on disk

It knows no protocol and no signal; those bring their own keys, and the application hands them in.
"""

from gateway.config.clients import Api
from gateway.config.identities import ApiOidc
from gateway.config.load import check, load, schema
from gateway.config.schema import Config
from gateway.config.yaml import ConfigError, Document, Finding, parsed, redacted

__all__ = [
    "Api",
    "ApiOidc",
    "Config",
    "ConfigError",
    "Document",
    "Finding",
    "check",
    "load",
    "parsed",
    "redacted",
    "schema",
]
