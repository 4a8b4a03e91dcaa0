"""Edge nodes of Sparkplug B 3.0: births name the metrics, data gives their values by alias, deaths end them.

A node counts its messages and those of its devices from 0 to 255 (tck-id-payloads-sequence-num-incrementing); where
one is missing, or data comes before a birth, the node is asked for a rebirth, which tells all values anew.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from connectors._bus import values
from connectors._bus.options import DeviceOptions
from connectors._bus.source import Books, Heard, without_value
from gateway.contracts import Clock, Device, Emit
from gateway.model import Quality
from gateway.model.quality import BAD
from gateway.mqtt import Mqtt
from gateway.mqtt.sparkplug import schema, wire
from gateway.mqtt.sparkplug.names import NAMESPACE, Names
from gateway.mqtt.sparkplug.schema import Datatype

_PAYLOAD_BYTES_MAX: Final = 64 << 20
_MS: Final = 1_000_000
_REBIRTH_S: Final = 5.0
"""A node is asked for a rebirth no more often: one of 10,000 metrics is a large message."""
_SHOWN: Final = 3
_QUALITY: Final[Mapping[Any, int]] = {
    0: Quality.BAD_UNEXPECTED_ERROR,
    192: Quality.GOOD,
    500: Quality.UNCERTAIN_LAST_USABLE_VALUE,
}
"""Values of the property Quality (6.4.16)."""
_ARRAYS: Final[Mapping[int, str]] = {Datatype.FLOAT_ARRAY: "<f4", Datatype.DOUBLE_ARRAY: "<f8"}
_NO_VALUE: Final = (Datatype.DATASET, Datatype.BYTES, Datatype.FILE, Datatype.TEMPLATE)


class Sparkplug:
    """The tags of a device that are metrics of an edge node, or of a device of one (a Source)."""

    def __init__(self, device: Device, clock: Clock, books: Books) -> None:
        options: DeviceOptions = device.options
        group, node, *below = options.sparkplug.split("/")
        self._names, self._device = Names(group, node), below[0] if below else ""
        self._clock, self._books, self._options = clock, books, options
        tags = zip(device.tags, device.numbers.tolist(), device.tag_options, strict=True)
        self._wanted = {keys.name or tag.name: number for tag, number, keys in tags if not keys.topic}
        self.filters = [f"{NAMESPACE}/{group}/+/{node}/#"]
        self._said_by = f"{options.sparkplug} of Sparkplug"
        self._aliases: dict[int, str] = {}
        self._datatypes: dict[str, int] = {}
        self._born = False
        self._seq: int | None = None
        self._bdseq: int | None = None
        self._lacking = asyncio.Event()

    async def begin(self) -> None:
        self._born, self._seq, self._bdseq = False, None, None
        self._lacking.clear()

    def refused(self, topic: str, emit: Emit) -> None:
        self._books.remarks.say(topic, "the broker refuses the subscription: let this user read it, in the broker")
        self._emit_bad(self._wanted, Quality.BAD_USER_ACCESS_DENIED, emit)

    def hear(self, messages: Sequence[Heard], emit: Emit) -> None:
        for message in messages:
            levels = message.topic.split("/")
            if levels[0] != NAMESPACE or len(levels) < 4 or levels[2].endswith("CMD"):
                continue
            self._books.counts["retained"] += message.retained
            if message.retained or (levels[1], levels[3]) != (self._names.group, self._names.node):
                continue  # a retained one is from another session
            try:
                self._message(levels[2], self._names.device(message.topic), message.payload, emit)
            except ValueError as error:
                self._books.counts["malformed"] += 1
                self._books.remarks.say(message.topic, f"a message is not used: {error}")

    async def tend(self, mqtt: Mqtt, emit: Emit) -> None:
        """Ask for a birth at first, and whenever one is lacking; say after a while that there is none."""
        self._lacking.set()
        await self._ask(mqtt)
        await asyncio.sleep(self._options.timeout)
        if not self._born:
            what = f"no birth came within {self._options.timeout:g} s: is the node on, and let this user write its NCMD"
            self._books.remarks.say(self._said_by, what)
            self._emit_bad(self._wanted, Quality.BAD_WAITING_FOR_INITIAL_DATA, emit)
        while True:
            await self._ask(mqtt)
            await asyncio.sleep(_REBIRTH_S)

    async def _ask(self, mqtt: Mqtt) -> None:
        await self._lacking.wait()
        self._lacking.clear()
        if self._options.rebirth:
            self._books.counts["rebirths"] += 1
            mqtt.send(self._names.topic("NCMD"), _rebirth(self._clock.now_ns() // _MS))

    # --- messages -------------------------------------------------------------------------

    def _message(self, verb: str, device: str, payload: bytes, emit: Emit) -> None:
        """Take a message of the node. Raises ValueError if it is none."""
        if len(payload) > _PAYLOAD_BYTES_MAX:
            raise ValueError(f"it has {len(payload)} bytes, and the most is {_PAYLOAD_BYTES_MAX}")
        ours = device == self._device
        if verb == "NDEATH":
            self._node_death(schema.read(payload), emit)
            return
        self._in_turn(verb, _seq(payload))
        if verb == "NBIRTH":
            self._node_birth(schema.read(payload), emit)
        elif verb == "DBIRTH" and ours:
            self._birth(schema.read(payload), emit)
        elif verb == "DDEATH" and ours:
            self._death(f"the node says that device {device} is gone", emit)
        elif verb in ("NDATA", "DDATA") and ours:
            self._data(schema.read(payload), emit)

    def _in_turn(self, verb: str, seq: int | None) -> None:
        """See by its number whether a message is missing before this one."""
        if verb != "NBIRTH" and self._seq is not None and seq is not None and seq != (self._seq + 1) % 256:
            self._books.counts["gaps"] += (seq - self._seq - 1) % 256
            self._lacking.set()
        self._seq = seq

    def _node_birth(self, said: schema.Message, emit: Emit) -> None:
        self._bdseq = _bdseq(said)
        if self._device:
            self._born = False  # until its own birth, which follows
        else:
            self._birth(said, emit)

    def _node_death(self, said: schema.Message, emit: Emit) -> None:
        """Take a death, unless it is of the session before, which may end late (tck-id-payloads-ndeath-bdseq)."""
        if self._bdseq is None or _bdseq(said) in (None, self._bdseq):
            self._death("the node is offline", emit)
            self._seq = None

    def _death(self, why: str, emit: Emit) -> None:
        self._born = False
        self._books.remarks.say(self._said_by, f"{why}: start it, or look at its network")
        self._emit_bad(self._wanted, Quality.BAD_NO_COMMUNICATION, emit)

    def _birth(self, said: schema.Message, emit: Emit) -> None:
        metrics = [metric for metric in said["metrics"] if "name" in metric]
        self._aliases = {metric["alias"]: metric["name"] for metric in metrics if "alias" in metric}
        self._datatypes = {metric["name"]: metric.get("datatype", 0) for metric in metrics}
        self._born = True
        self._books.remarks.over(self._said_by)
        lacking = sorted(self._wanted.keys() - self._datatypes.keys())
        if lacking:
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            has = ", ".join(list(self._datatypes)[:_SHOWN])
            what = f"its birth has no metric {', '.join(lacking[:_SHOWN])}{more}, but {has} and so on: correct the name"
            self._books.remarks.say(self._said_by, what)
            self._emit_bad(lacking, Quality.BAD_NODE_ID_UNKNOWN, emit)
        self._tell(said, emit)

    def _data(self, said: schema.Message, emit: Emit) -> None:
        if not self._born or any(m["alias"] not in self._aliases for m in said["metrics"] if "alias" in m):
            self._lacking.set()
        if self._born:
            self._tell(said, emit)

    # --- metrics --------------------------------------------------------------------------

    def _tell(self, said: schema.Message, emit: Emit) -> None:
        """Emit the metrics that are ours; historical ones by themselves."""
        told: dict[bool, list[tuple[int, int, Any, int]]] = {False: [], True: []}
        for metric in said["metrics"]:
            name = metric.get("name") or self._aliases.get(metric.get("alias", -1), "")
            if name in self._wanted:
                time_ns = metric.get("timestamp", said.get("timestamp", self._clock.now_ns() // _MS)) * _MS
                value, quality = _value(metric, metric.get("datatype") or self._datatypes.get(name, 0))
                late = bool(metric.get("is_historical"))
                told[late].append((self._wanted[name], min(time_ns, (1 << 63) - 1), value, quality))
        for late, some in told.items():
            if some:
                emit(*values.rows(some, late=late))

    def _emit_bad(self, names: Mapping[str, int] | Sequence[str], quality: Quality, emit: Emit) -> None:
        tags = np.array([self._wanted[name] for name in names], np.uint32)
        emit(without_value(tags, self._clock.now_ns(), quality))


def _value(metric: schema.Message, datatype: int) -> tuple[Any, int]:
    """The value of a metric, and its quality."""
    properties = metric.get("properties", {})
    said = dict(zip(properties.get("keys", ()), properties.get("values", ()), strict=False)).get("Quality", {})
    quality = _QUALITY.get(said.get("int_value", 192), Quality.BAD_UNEXPECTED_ERROR)
    if metric.get("is_null"):
        return None, quality if quality >= BAD else Quality.BAD_NO_DATA_AVAILABLE
    if datatype in _ARRAYS:
        return np.frombuffer(metric.get("bytes_value", b""), _ARRAYS[datatype]).astype(np.float64), quality
    value = schema.value_of(metric | {"datatype": datatype})
    if value is None or isinstance(value, (bytes, dict)):
        return None, Quality.BAD_NOT_SUPPORTED
    if isinstance(value, float) and not np.isfinite(value):
        return None, Quality.BAD_NO_DATA_AVAILABLE
    return np.uint64(value) if datatype == Datatype.UINT64 else value, quality


def _seq(payload: bytes) -> int | None:
    """The number of a message, without a look at its metrics."""
    return next((int(raw) for number, kind, raw in wire.fields(payload) if number == 3 and kind == wire.VARINT), None)


def _bdseq(said: schema.Message) -> int | None:
    return next((metric.get("long_value") for metric in said["metrics"] if metric.get("name") == "bdSeq"), None)


def _rebirth(now_ms: int) -> bytes:
    """NCMD with `Node Control/Rebirth` (6.4.9, tck-id-operational-behavior-data-commands-rebirth-name)."""
    metric = wire.data(1, b"Node Control/Rebirth") + wire.uint(3, now_ms) + wire.uint(4, Datatype.BOOLEAN)
    return wire.uint(1, now_ms) + wire.data(2, metric + wire.uint(14, 1))
