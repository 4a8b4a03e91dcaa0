"""The topics and what is on them as an AsyncAPI 3 document, made of the names in topics.py. Pure.

`make schema` writes it to docs/asyncapi.yaml, which a test keeps true.
"""

from typing import Any

import yaml

from gateway.bus.topics import Topics
from gateway.payload import VERSION

_TOPICS = Topics("{root}", "{enterprise}/{site}", "{gateway}")
_ASSET = "{enterprise}/{site}/{asset}"
_VALUE = {"description": "number, true or false, text, list, object, or null if there is none"}
_STATUS = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "description": "OPC UA StatusCode"}
_QUALITY = {"enum": ["good", "uncertain", "bad"]}
_TIME = {"type": ["string", "null"], "format": "date-time"}


def _columns(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties}


_MICROSECONDS = {"type": "integer", "description": "microseconds since 1970 UTC"}
_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_MESSAGES = {
    "batch": _object(
        "v gateway boot seq time tags values",
        v={"const": VERSION},
        gateway=_TEXT,
        boot=_WHOLE,
        seq=_WHOLE,
        time={"oneOf": [_MICROSECONDS, _columns(_MICROSECONDS)]},
        historical={"const": True},
        tags=_columns(_TEXT),
        values=_columns(_VALUE),
        status=_columns(_STATUS),
    ),
    "tag": _object(
        "value timestamp quality",
        value=_VALUE,
        timestamp=_TIME,
        quality=_QUALITY,
        status=_STATUS,
        reason=_TEXT,
        unit=_TEXT,
    ),
    "meta": _object(
        "v tags", v={"const": VERSION}, tags={"type": "object", "additionalProperties": {"type": "object"}}
    ),
    "status": _object(
        "online gateway boot timestamp", online={"type": "boolean"}, gateway=_TEXT, boot=_WHOLE, timestamp=_TIME
    ),
    "event": _object(
        "specversion id source type time datacontenttype data",
        specversion={"const": "1.0"},
        id=_TEXT,
        source=_TEXT,
        type={"const": "ua-event"},
        time=_TIME,
        subject=_TEXT,
        opcuastatus=_STATUS,
        datacontenttype={"const": "application/json"},
        data={"type": "object"},
    ),
    "alarm": _object(
        "value timestamp quality event",
        value={"type": "boolean"},
        timestamp=_TIME,
        quality=_QUALITY,
        status=_STATUS,
        reason=_TEXT,
        event={"type": "object"},
    ),
    "kpi": _object(
        "value timestamp quality unit evidence",
        value={"type": ["number", "null"]},
        timestamp=_TIME,
        quality=_QUALITY,
        unit=_TEXT,
        evidence={"type": "object"},
    ),
    "order": {"type": "object", "description": "JobResponse of ISA-95, as B2MML writes it in JSON"},
    "ledger": _object(
        "v gateway minute devices", v={"const": VERSION}, gateway=_TEXT, minute=_TIME, devices={"type": "object"}
    ),
    "replay": _object("id reply asset first last", id=_TEXT, reply=_TEXT, asset=_TEXT, first=_WHOLE, last=_WHOLE),
    "replayed": _object(
        "id asset first last",
        id=_TEXT,
        asset=_TEXT,
        first=_WHOLE,
        last=_WHOLE,
        sent=_WHOLE,
        missing=_columns(_columns(_WHOLE)),
        next={"type": ["integer", "null"]},
        error=_TEXT,
    ),
    "command": _object(
        "id value", id=_TEXT, value={"type": ["number", "boolean", "string"]}, expires=_TEXT, reply=_TEXT
    ),
    "written": _object(
        "id tag status code detail value read_back time",
        id=_TEXT,
        tag=_TEXT,
        status={"enum": ["done", "refused", "failed", "unknown"]},
        code=_TEXT,
        detail=_TEXT,
        value=_VALUE,
        read_back=_VALUE,
        time=_TIME,
    ),
}
_ADDRESSES = {
    "batch": (_TOPICS.batch(_ASSET), "send", False),
    "tag": (_TOPICS.tag(f"{_ASSET}/{{tag}}"), "send", True),
    "meta": (_TOPICS.meta(_ASSET), "send", True),
    "event": (_TOPICS.event(_ASSET), "send", False),
    "alarm": (_TOPICS.alarm(_ASSET, "{alarm}"), "send", True),
    "kpi": (_TOPICS.kpi(_ASSET, "{kpi}"), "send", True),
    "order": (_TOPICS.order(_ASSET), "send", True),
    "status": (_TOPICS.status, "send", True),
    "ledger": (_TOPICS.ledger, "send", True),
    "replay": (_TOPICS.replay, "receive", False),
    "replayed": (_TOPICS.replayed("{reply}"), "send", False),
    "command": (_TOPICS.command(f"{_ASSET}/{{tag}}"), "receive", False),
    "written": (_TOPICS.written("{reply}"), "send", False),
}
"""Topic, what the gateway does there, and whether it is retained, by message."""


def document() -> dict[str, Any]:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "itot-gateway", "version": str(VERSION), "description": "See docs/payloads.md."},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, address) for name, (address, _, _) in _ADDRESSES.items()},
        "operations": {
            name: {
                "action": action,
                "channel": {"$ref": f"#/channels/{name}"},
                "bindings": {"mqtt": {"qos": int(name != "command"), "retain": retained}},
            }
            for name, (_, action, retained) in _ADDRESSES.items()
        },
        "components": {"messages": {name: {"payload": schema} for name, schema in _MESSAGES.items()}},
    }


def _channel(name: str, address: str) -> dict[str, Any]:
    parameters = [part.split("}")[0] for part in address.split("{")[1:]]
    return {
        "address": address,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {parameter: {} for parameter in parameters},
    }


def text() -> str:
    """Return it as YAML."""
    return yaml.dump(document(), Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
