"""Runs the signals: readings that they ask for go in, what they derive is emitted like any reading.

    journal --records--> signals --batches--> hub --> journal
                            |
                            `--what they remember (recall.py), every minute and at the end--> journal

They read the journal and hold up nobody: what it drops before they come to it, they have missed. What they remember is
kept in the journal's file, with two positions: that of the last record that taught them, and that of the last record
there was once they had told what followed from it. After a kill they go on behind the first. Their answers depend on
readings alone, so they come to the same again; what of it is behind the second position already is not told twice.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Emit, Offload, Signal
from gateway.model import Batch, Kind, Record
from gateway.model.batch import join_kinds
from gateway.recall import Built, Kept, NoMemory, packed

_GATHER_S: Final = 0.05
"""Signals are updated twenty times per second at most; what they tell of takes longer to be true."""
_KEEP_S: Final = 60.0
"""How often it is kept what they remember: so much is computed again after a kill."""
_PLENTY: Final = 200
"""So many records at once mean that there are more: nobody waits for them to gather."""
_NAME: Final = "/signals"
"""What is kept has this name, which no device can have."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Derived:
    """The signals that there are now, and the number of tags; `signals` is replaced as a whole when others come."""

    signals: Mapping[str, Built]
    tags: int


class Log(Protocol):
    """What signals need of the journal (gateway/journal/log.py)."""

    appended: int
    committed: int

    async def after(self, position: int) -> tuple[Sequence[Record], int]: ...

    async def kept(self, name: str) -> bytes: ...

    def keep(self, name: str, told: bytes) -> None: ...


class Deriving:
    """Where the signals are in the journal; made before anything is appended. `skipped` counts records missed.

    `would_raise` counts what signals on trial would have raised, had they been live.
    """

    def __init__(self, derived: Derived, journal: Log, emit: Emit, offload: Offload) -> None:
        self.skipped = self.would_raise = 0
        self._derived = derived
        self._journal = journal
        self._emit = emit
        self._offload = offload
        self._end = self._position = journal.appended
        self._begun = False
        self._whole = True
        self._kept_at = 0.0
        self._signals: Mapping[str, Built] = {}
        self._wiring = Wiring((), 0)
        self._on: set[int] = set()
        self._again = np.zeros(0, np.int64)

    def counts(self) -> Mapping[str, int]:
        """Return what was counted, by name."""
        return {"records_skipped": self.skipped, "trials_raised": self.would_raise}

    async def run(self, up: Callable[[], None]) -> None:
        """Update the signals with what comes into the journal, until it has ended. Goes on where it was, if run again.

        Computing happens away from the event loop, once for all that has come meanwhile, and no more often than
        needed: a pass costs the same for the readings of one device and of all. What comes from the history of a
        device is left out: signals have been told of what came after it. A signal gets its readings in the order in
        which they came, numbers as float64, also if it asks for numbers and for texts.
        """
        if not self._begun:
            await self._begin()
        up()
        try:
            while records := await self._next():
                await self._pass(records)
                await self._keep_now_and_then()
                if len(records) < _PLENTY:
                    await asyncio.sleep(_GATHER_S)
        finally:
            if self._whole and not self._again.any():
                self._keep(packed(self._signals, self._position, self._journal.appended))

    async def _begin(self) -> None:
        """Have the signals as they were kept, and count what they will tell again."""
        kept = Kept(await self._journal.kept(_NAME))
        recalled = {name: self._recalled(name, built, kept) for name, built in self._derived.signals.items()}
        self._derived.signals = {name: found or self._derived.signals[name] for name, found in recalled.items()}
        self._take_over()
        if any(recalled.values()):
            self._position = kept.position
            self._again = await self._told_since(kept.told, [found for found in recalled.values() if found])
        else:
            self._keep(packed(self._signals, self._position, self._journal.appended))
        self._begun = True

    def _recalled(self, name: str, built: Built, kept: Kept) -> Built | None:
        try:
            signal = kept.signal(name, built)
        except NoMemory as error:
            log.warning("signal %s begins anew, what it had learned is set aside: %s", name, error)
            return None
        return replace(built, signal=signal) if signal is not None else None

    async def _told_since(self, position: int, recalled: Iterable[Built]) -> NDArray[np.int64]:
        """How many readings of each tag that signals derive are behind a position, shape (tags,)."""
        told = np.zeros(self._derived.tags, np.int64)
        while position < self._end:
            records, position = await self._journal.after(position)
            for batch in (b for record in records if record.position <= self._end for b in record.batches):
                told += np.bincount(batch.tag, minlength=len(told))
        own = np.zeros(len(told), np.bool_)
        for built in recalled:
            own[built.outputs] = True
        return np.where(own, told, 0)

    async def _next(self) -> Sequence[Record]:
        records, reached = await self._journal.after(self._position)
        if records:
            self.skipped += records[-1].position - self._position - len(records)
        self._position = reached
        return records

    async def _pass(self, records: Sequence[Record]) -> None:
        if self._signals is not self._derived.signals:
            self._take_over()
        if not self._signals:
            return
        work = self._wiring.work(batch for record in records for batch in record.batches if not batch.historical)
        if work:
            self._whole = False
            found = await self._offload(updated, work)
            told = [self._unsaid(batch) for batch in found]
            self._emit(*told)
            self._count(told)
            self._whole = True
        if self._position >= self._end:
            self._again[:] = 0

    def _take_over(self) -> None:
        """Take the signals that there are now."""
        self._signals = self._derived.signals
        self._wiring = Wiring([built.signal for built in self._signals.values()], self._derived.tags)
        self._again = np.append(self._again, np.zeros(self._derived.tags - len(self._again), np.int64))

    def _unsaid(self, batch: Batch) -> Batch:
        """What of a batch was not told before the restart."""
        if not self._again[batch.rows].any():
            return batch
        unsaid = np.ones(len(batch), np.bool_)
        for tag in np.unique(batch.tag).tolist():
            said = np.flatnonzero(batch.tag == tag)[: self._again[tag]]
            unsaid[said] = False
            self._again[tag] -= len(said)
        return batch.where(unsaid)

    def _count(self, told: Sequence[Batch]) -> None:
        """Count what signals on trial would have raised, and log it."""
        for name, built in self._signals.items():
            for batch in told if built.trials else ():
                mine = batch.where(np.isin(batch.tag, [*built.trials]))
                for tag, value in zip(mine.tag.tolist(), mine.value.tolist(), strict=True):
                    if self._would_raise(tag, value):
                        self.would_raise += 1
                        log.info("signal %s, which is on trial, would have raised an alarm", name)

    def _would_raise(self, tag: int, value: Any) -> bool:
        """Whether this is an event that tells of nothing that is over, or an alarm that was not on."""
        if isinstance(value, dict):
            return bool(value.get("ActiveState", True))
        comes = bool(value) and tag not in self._on
        (self._on.add if value else self._on.discard)(tag)
        return comes

    async def _keep_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._kept_at >= _KEEP_S and not self._again.any():
            self._kept_at = now
            self._keep(await self._offload(packed, self._signals, self._position, self._journal.appended))

    def _keep(self, memory: bytes) -> None:
        self._journal.keep(_NAME, memory)


class Wiring:
    """Signals, and the tags that each of them asks for; `tags` is how many there are."""

    def __init__(self, signals: Sequence[Signal], tags: int) -> None:
        self._signals = signals
        self._masks = [_mask([signal], tags) for signal in signals]
        self.wanted = _mask(signals, tags)
        """Which tags some signal asks for, shape (tags,)."""

    def work(self, batches: Iterable[Batch]) -> list[tuple[Signal, Batch]]:
        """Return what is for each signal of these readings, in order of arrival; numbers are float64."""
        taken = [_numbers(batch.where(self.wanted[batch.rows])) for batch in batches if self.wanted[batch.rows].any()]
        joined = join_kinds(taken)
        return [
            (signal, batch.where(mask[batch.tag]))
            for signal, mask in zip(self._signals, self._masks, strict=True)
            for batch in (joined if sum(mask[one.tag].any() for one in joined) < 2 else taken)
            if mask[batch.tag].any()
        ]


def updated(work: Iterable[tuple[Signal, Batch]]) -> list[Batch]:
    """Give the signals what is for them; return what they derive."""
    return [derived for signal, batch in work for derived in signal.update(batch)]


def _numbers(batch: Batch) -> Batch:
    """Whole numbers and truth as float64 as well, so that the order in which numbers came is that of one batch."""
    if batch.kind in (Kind.FLOAT, Kind.OBJECT):
        return batch
    return Batch(batch.tag, batch.time, batch.value.astype(np.float64), batch.quality)


def _mask(signals: Iterable[Signal], tags: int) -> NDArray[np.bool_]:
    """Which tags the signals ask for, shape (tags,)."""
    mask = np.zeros(tags, np.bool_)
    for signal in signals:
        mask[signal.inputs] = True
    return mask
