"""What the edge node says, and when: births, data, deaths, and the numbers that tie them together. Never waits.

    node     the gateway        its metrics are derived tags of assets that no device reads
    device   a device of the configuration   its metrics are its tags, and what is derived from the same asset

A device is born when it has something to say and dies when its connector has lost it. A birth names every metric with
its value now, from the latest table; what was in the journal by then can only be history (`is_historical`), what comes
later is news. So nothing has to be remembered of outages, restarts or hosts that asked anew: whatever is published
late comes after a birth that is younger.

The sequence number is given where a message is handed to the connection, so it follows the order on the wire.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.bus.sparkplug import metrics
from gateway.bus.sparkplug.changes import Changes
from gateway.bus.sparkplug.metrics import DATATYPE, Index, Rows
from gateway.contracts import Clock
from gateway.latest import Latest
from gateway.model import Batch, Catalog, Kind, Quality, Record, Tag
from gateway.model.batch import objects
from gateway.model.quality import bad
from gateway.mqtt.sparkplug import wire
from gateway.mqtt.sparkplug.names import BDSEQ, REBIRTH, Names
from gateway.mqtt.sparkplug.schema import Datatype

_NODE: Final = 0
"""The number of the node among the owners of metrics; devices follow."""
_UNBORN: Final = -1
_KIND: Final[Mapping[int, Kind]] = {datatype: kind for kind, datatype in DATATYPE.items()}

Send = Callable[[str, bytes], None]


def death(number: int, time_ms: int) -> bytes:
    """Return the payload of the NDEATH of a connection: its bdSeq, and no seq (tck-id-payloads-ndeath-seq)."""
    return wire.uint(1, time_ms) + metrics.named(BDSEQ, Datatype.INT64, time_ms, number)


class EdgeNode:
    """Speaks by `send(topic, payload)`, which must not fail or wait. `alive` tells whether a device is connected,
    `newest` the position of the journal's last record."""

    def __init__(
        self,
        names: Names,
        site: str,
        catalog: Catalog,
        latest: Latest,
        clock: Clock,
        *,
        alive: Callable[[str], bool],
        newest: Callable[[], int],
        datatype_in_data: bool = True,
    ) -> None:
        self.counts = Counter({"births": 0, "device_births": 0, "device_deaths": 0, "messages": 0})
        self.names = names
        self._site = site
        self._catalog = catalog
        self._latest = latest
        self._clock = clock
        self._alive = alive
        self._newest = newest
        self._send: Send = _nowhere
        self._bdseq = 0
        self._seq = 0
        self._rows = Rows(datatype_in_data=datatype_in_data)
        self._now, self._past = Changes(), Changes()
        self._devices = [""]
        self._owner = np.zeros(0, np.intp)
        self._configured = np.zeros(0, np.bool_)
        self._needed = np.zeros(0, np.uint8)
        self._told = np.zeros(0, np.uint8)
        self._born = [_UNBORN]
        self._described = [0]  # the version of the catalog that each birth had
        self._version, self._looked, self._generation = 0, -1, -1
        self._behind: set[int] = set()

    # --- births and deaths ----------------------------------------------------------------

    def begin(self, bdseq: int, send: Send) -> None:
        """Begin a session: from now on `send` is the way out, and everything is said anew."""
        self._bdseq, self._send = bdseq, send
        self._past.forget()
        self.birth()

    def birth(self) -> None:
        """Say what the node and each device that is alive are, and how all is now."""
        self._born = [_UNBORN] * len(self._devices)
        self._look_around()
        self._told[:] = 0
        self._seq = 0
        self._birth_of(_NODE)
        for owner in range(1, len(self._devices)):
            if self._alive(self._devices[owner]):
                self._birth_of(owner)

    def bury(self) -> None:
        """Say of each device that is not alive any more that it is dead; while its past is told, that has time."""
        for owner in range(1, len(self._born)):
            if self._born[owner] != _UNBORN and owner not in self._behind and not self._alive(self._devices[owner]):
                self._die(owner)

    def _die(self, owner: int) -> None:
        if owner and self._born[owner] != _UNBORN:
            self._say("DDEATH", self._devices[owner], b"")
            self.counts["device_deaths"] += 1
        self._born[owner] = _UNBORN

    def describe(self) -> bool:
        """Give birth anew to devices that have told units or ranges since their birth; return whether any has."""
        if self._catalog.version == self._version:
            return False
        self._look_around()
        self._version = self._catalog.version
        stale = [
            owner
            for owner in range(1, len(self._born))
            if self._born[owner] != _UNBORN
            and (self._owner[self._catalog.changed(self._described[owner])] == owner).any()
        ]
        for owner in stale:
            self._birth_of(owner)
        return bool(stale)

    def _birth_of(self, owner: int) -> None:
        now_ms = self._now_ms()
        tags = np.flatnonzero((self._owner == owner) & (self._configured | (self._needed != 0))).astype(np.uint32)
        batches = self._latest.read(tags)
        for batch in batches:
            self._need(batch.where(~bad(batch.quality)))
        self._told[tags] = np.where(self._needed[tags] == 0, Datatype.DOUBLE, self._needed[tags])
        parts = self._by_datatype([(batch, batch.rows) for batch in batches])
        told = [metric for part in parts for metric in self._birth_metrics(*part, now_ms)]
        if owner == _NODE:
            told.append((now_ms, metrics.named(BDSEQ, Datatype.INT64, now_ms, self._bdseq)))
            told.append((now_ms, metrics.named(REBIRTH, Datatype.BOOLEAN, now_ms, value=False)))
        told.sort(key=lambda part: part[0])  # tck-id-operational-behavior-data-publish-nbirth-order
        self._born[owner], self._described[owner] = self._newest(), self._catalog.version
        self._say("DBIRTH" if owner else "NBIRTH", self._devices[owner], b"".join(body for _, body in told))
        self.counts["device_births" if owner else "births"] += 1

    def _birth_metrics(self, datatype: int, batch: Batch, rows: Index, now_ms: int) -> Iterator[tuple[int, bytes]]:
        """Each metric with its time; a tag that was never read has ours."""
        self._now.told(batch, rows)
        columns = (batch.tag, batch.time, batch.value, batch.quality)
        for number, time_ns, value, quality in zip(*(column.tolist() for column in columns), strict=True):
            tag, when = self._catalog[number], metrics.millisecond(time_ns) or now_ms
            yield when, metrics.birth(self._name(tag, number), number, tag, datatype, when, value, quality)

    # --- data -----------------------------------------------------------------------------

    def publish(self, records: Sequence[Record]) -> None:
        """Say what records say, in order: what is news as data, what came before the last birth as history."""
        self._look_around()
        owners = set()
        for record in records:
            for owner, batches in self._by_owner(record.batches):
                owners.add(owner)
                self._tell(owner, record, batches)
        self._behind = owners if records and records[-1].position < self._newest() else set()
        self.bury()

    def _tell(self, owner: int, record: Record, batches: Sequence[Batch]) -> None:
        if self._born[owner] == _UNBORN and not any(_heard(batch).any() for batch in batches):
            return  # that nothing is heard of it is what its death says
        indexed = [(batch, batch.rows) for batch in batches]
        if not self._is_told(indexed) or self._born[owner] == _UNBORN:
            self._birth_of(owner) if owner else self.birth()
        late = self._is_late(owner, record)
        parts, bodies = [], []
        for datatype, batch, rows in self._by_datatype(indexed):
            news = self._news(batch, rows, late=late)
            if len(news):
                parts.append(news)
                index = rows if news is batch else news.tag
                bodies.append(self._rows.encode(datatype, news, index, historical=late))
        in_order = all(a.time[-1] <= b.time[0] for a, b in pairwise(parts))
        for body in [b"".join(bodies)] if in_order and bodies else bodies:
            self._say("DDATA" if owner else "NDATA", self._devices[owner], body)

    def _is_late(self, owner: int, record: Record) -> bool:
        """Whether a record must not move the host's values: it is history, or was there before a birth."""
        return record.historical or record.position <= self._born[owner]

    def _news(self, batch: Batch, rows: Index, *, late: bool) -> Batch:
        """The readings that the host does not have; of the past also those that a birth has said."""
        if not late:
            return self._now.news(batch, rows)
        unsaid = batch.where(~self._now.has(batch, rows))
        return self._past.news(unsaid, unsaid.rows)

    def _is_told(self, indexed: Sequence[tuple[Batch, Index]]) -> bool:
        """Whether births have named the metrics as these readings need them; takes note of what they need."""
        told = True
        for batch, rows in indexed:
            datatype = DATATYPE.get(batch.kind)
            if datatype is not None and (self._told[rows] == datatype).all():
                continue
            usable = batch.where(~bad(batch.quality))
            self._need(usable)
            told &= bool(self._told[batch.tag].all())
            told &= bool((self._told[usable.tag] == self._needed[usable.tag]).all())
        return told

    def _need(self, batch: Batch) -> None:
        """Take note of the datatypes of values: the first is the tag's, and one that had others is a String."""
        datatype = DATATYPE.get(batch.kind)
        kinds = [metrics.datatype_of(v) for v in batch.value] if datatype is None else [datatype] * len(batch)
        needed = np.array(kinds, np.uint8)
        fresh = self._needed[batch.tag] == 0
        self._needed[batch.tag[fresh]] = needed[fresh]
        self._needed[batch.tag[self._needed[batch.tag] != needed]] = Datatype.STRING

    def _by_datatype(self, indexed: Sequence[tuple[Batch, Index]]) -> list[tuple[int, Batch, Index]]:
        """The readings by the datatype that a birth gave to their tags, each tag's in order of time."""
        told = [self._told[rows] for _, rows in indexed]
        first = [int(datatypes[0]) for datatypes in told]
        if len(set(first)) == len(first) and all((a == b).all() for a, b in zip(told, first, strict=True)):
            return [
                (datatype, _as(datatype, batch), rows) if _in_order(batch) else _sorted(datatype, _as(datatype, batch))
                for datatype, (batch, rows) in zip(first, indexed, strict=True)
            ]
        parts: dict[int, list[Batch]] = {}
        for (batch, _), datatypes in zip(indexed, told, strict=True):
            for datatype in np.unique(datatypes).tolist():
                parts.setdefault(datatype, []).append(_as(datatype, batch.where(datatypes == datatype)))
        return [_sorted(datatype, Batch.join(part)) for datatype, part in parts.items()]

    # --- who owns what --------------------------------------------------------------------

    def metric(self, device: str, *, name: str, alias: int | None) -> tuple[Tag, int] | None:
        """Return the tag that a metric of the last births is, by its alias or its name, and its datatype."""
        for number in np.flatnonzero(self._told).tolist():
            tag = self._catalog[number]
            meant = metrics.alias(number) == alias if alias is not None else self._name(tag, number) == name
            if meant and self._devices[self._owner[number]] == device:
                return tag, int(self._told[number])
        return None

    def _look_around(self) -> None:
        """Take note of the tags there are now; a device whose tags changed dies, and is born when it speaks again."""
        if (size := len(self._catalog)) == len(self._owner) and self._generation == self._catalog.generation:
            return
        changed = [number for number in self._catalog.changed(self._looked) if number < len(self._owner)]
        self._looked, self._generation = self._catalog.version, self._catalog.generation
        for owner in np.unique(self._owner[changed]).tolist():
            self._die(owner)
        for table in (self._rows, self._now, self._past):
            table.grow(size)
        more = size - len(self._owner)
        self._told, self._needed = (np.append(c, np.zeros(more, np.uint8)) for c in (self._told, self._needed))
        self._told[changed] = self._needed[changed] = 0
        tags = [self._catalog[number] for number in self._catalog]
        by_asset = {tag.asset: tag.device for tag in reversed(tags) if tag.device}
        self._devices += sorted({tag.device for tag in tags} - set(self._devices))
        self._born += [_UNBORN] * (len(self._devices) - len(self._born))
        self._described += [0] * (len(self._devices) - len(self._described))
        index = {name: owner for owner, name in enumerate(self._devices)}
        self._owner = np.array([index[tag.device or by_asset.get(tag.asset, "")] for tag in self._catalog.tags])
        self._configured = self._catalog.configured.copy()

    def _by_owner(self, batches: Sequence[Batch]) -> list[tuple[int, Sequence[Batch]]]:
        """Split by owner; what one device emits has one."""
        owners = [self._owner[batch.rows] for batch in batches]
        first = int(owners[0][0])
        if all((owner == first).all() for owner in owners):
            return [(first, batches)]
        return [
            (number, [b.where(o == number) for b, o in zip(batches, owners, strict=True) if (o == number).any()])
            for number in np.unique(np.concatenate(owners)).tolist()
        ]

    def _name(self, tag: Tag, number: int) -> str:
        return tag.name if self._owner[number] else tag.path.removeprefix(f"{self._site}/")

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    def _say(self, verb: str, device: str, body: bytes) -> None:
        payload = wire.uint(1, self._now_ms()) + body + wire.uint(3, self._seq)
        self._seq = (self._seq + 1) % 256
        self._send(self.names.topic(verb, device), payload)
        self.counts["messages"] += 1


def _heard(batch: Batch) -> NDArray[np.bool_]:
    """Where a device can have said this: it has a value, and not one that is kept from before."""
    heard: NDArray[np.bool_] = batch.quality != Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE
    return heard & ~bad(batch.quality)


def _as(datatype: int, batch: Batch) -> Batch:
    """Readings as the datatype of their tags has them; those of another kind have no value, or become texts."""
    kind = _KIND.get(datatype, Kind.OBJECT)
    if batch.kind is kind:
        return batch
    value = np.zeros(len(batch), kind.dtype) if kind is not Kind.OBJECT else objects(batch.value.tolist())
    return Batch(batch.tag, batch.time, value, batch.quality)


def _in_order(batch: Batch) -> bool:
    return bool((batch.time[1:] >= batch.time[:-1]).all())


def _sorted(datatype: int, batch: Batch) -> tuple[int, Batch, Index]:
    ordered = batch if _in_order(batch) else batch.take(np.argsort(batch.time, kind="stable"))
    return datatype, ordered, ordered.rows


def _nowhere(topic: str, payload: bytes) -> None:
    raise AssertionError("nothing is said before a session has begun")
