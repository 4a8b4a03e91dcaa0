"""What an edge node of Sparkplug B says, message by message, made with protobuf so that any of it can be made wrong."""

from dataclasses import dataclass
from typing import Any

from tests.tahu import Payload

NOW_MS = 1_700_000_000_000


@dataclass
class Said:
    """One message; everything about it may be changed."""

    topic: str
    payload: Any
    qos: int = 0
    retained: bool = False


def metric(payload: Any, name: str, alias: int | None, datatype: int | None, **value: Any) -> Any:
    added = payload.metrics.add(timestamp=payload.timestamp, **value)
    if name:
        added.name = name
    if alias is not None:
        added.alias = alias
    if datatype is not None:
        added.datatype = datatype
    return added


def nbirth(bdseq: int = 0, *, now_ms: int = NOW_MS) -> Said:
    payload = Payload(timestamp=now_ms, seq=0)
    metric(payload, "bdSeq", None, 4, long_value=bdseq)
    metric(payload, "Node Control/Rebirth", None, 11, boolean_value=False)
    metric(payload, "load", 1, 10, double_value=0.5)
    return Said("spBv1.0/g/NBIRTH/n", payload)


def dbirth(seq: int = 1, *, device: str = "press", now_ms: int = NOW_MS) -> Said:
    payload = Payload(timestamp=now_ms, seq=seq)
    force = metric(payload, "force", 2, 10, double_value=1.5)
    force.properties.keys.append("Quality")
    force.properties.values.add(type=3, int_value=192)
    metric(payload, "state", 3, 12, is_null=True)
    return Said(f"spBv1.0/g/DBIRTH/n/{device}", payload)


def ddata(seq: int, value: float, *, now_ms: int = NOW_MS) -> Said:
    payload = Payload(timestamp=now_ms, seq=seq)
    metric(payload, "", 2, None, double_value=value)
    return Said("spBv1.0/g/DDATA/n/press", payload)


def ndata(seq: int, value: float, *, now_ms: int = NOW_MS) -> Said:
    payload = Payload(timestamp=now_ms, seq=seq)
    metric(payload, "", 1, None, double_value=value)
    return Said("spBv1.0/g/NDATA/n", payload)


def ddeath(seq: int) -> Said:
    return Said("spBv1.0/g/DDEATH/n/press", Payload(timestamp=NOW_MS, seq=seq))


def ndeath(bdseq: int = 0, *, now_ms: int = NOW_MS) -> Said:
    payload = Payload(timestamp=now_ms)
    metric(payload, "bdSeq", None, 4, long_value=bdseq)
    return Said("spBv1.0/g/NDEATH/n", payload, qos=1)


def conversation() -> list[Said]:
    """Return two sessions of a node that does all right: births, data, a device that is lost and back, deaths."""
    return [
        nbirth(0), dbirth(1), ndata(2, 0.6), ddata(3, 2.5), ddeath(4), dbirth(5), ddata(6, 3.5), ndeath(0),
        nbirth(1), dbirth(1), ddata(2, 4.5), ndeath(1),
    ]  # fmt: skip


NBIRTH, DBIRTH, NDATA, DDATA, DDEATH, DBIRTH_AGAIN, DDATA_AGAIN, NDEATH, NBIRTH_AGAIN = range(9)
"""Where they are in the conversation."""
