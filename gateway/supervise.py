"""The supervisor keeps things running that the outside world breaks. The only place that catches broadly.

It runs a device, a connection or a sink again and again until cancelled. What ended a run becomes a state that
people can read, and for devices the quality of their tags; then it waits, longer each time and never the same for
two of them, and it never gives up. It knows nothing of protocols.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Clock, Connector, DeviceError, Emit, Prompt
from gateway.latest import Latest
from gateway.model import Batch, Quality
from gateway.model.quality import good

log = logging.getLogger(__name__)

State = Literal["connecting", "up", "down", "stopped"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next try, in seconds: doubling, with jitter, between two bounds.

    The first wait is short because most losses are; the cap is low enough that nobody has to help.
    """

    first_s: float = 0.5
    max_s: float = 30.0

    def wait_s(self, failures: int, chance: random.Random) -> float:
        ceiling = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 16))
        return ceiling * chance.uniform(0.5, 1.0)


@dataclass(slots=True)
class Health:
    """What is known about one supervised thing; for the API, the metrics and the log."""

    name: str
    state: State = "connecting"
    since_ns: int = 0
    error: str = ""
    runs: int = 0
    failures: int = 0
    bugs: int = 0
    readings: int = 0
    batches: int = 0
    last_ns: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    extra: Callable[[], Mapping[str, int]] = dict
    gauges: Callable[[], Mapping[str, int]] = dict

    def counts(self) -> dict[str, int]:
        """Return what it has counted, by name, and what `extra` adds to it."""
        names = ("readings", "batches", "runs", "failures", "bugs")
        return {name: getattr(self, name) for name in names} | dict(self.extra())

    def turn(self, state: State, now_ns: int) -> bool:
        """Enter a state; return whether that is news."""
        news = state != self.state
        if news:
            self.state, self.since_ns = state, now_ns
        return news


async def keep_running(
    run: Callable[[Callable[[], None]], Awaitable[None]],
    health: Health,
    *,
    clock: Clock,
    chance: random.Random,
    lost: Callable[[Exception], None] = lambda error: None,
    backoff: Backoff = Backoff(),
    away: Backoff | None = None,
) -> None:
    """Await `run(up)` again and again until cancelled, or until it returns by itself.

    `run` calls `up()` when it works, as often as it likes; failures before that are forgotten then. `lost` is told of
    every exception that ended a run, before the wait, which is that of `away`, if there is one, after an OSError.
    """

    def up() -> None:
        was_down = health.state == "down"
        if health.turn("up", clock.now_ns()):
            health.error = ""
            log.log(
                logging.WARNING if was_down else logging.INFO, "%s is %s", health.name, "back" if was_down else "up"
            )

    failures = 0
    while True:
        health.runs += 1
        try:
            await _heeding_cancel(run(up))
        except Exception as error:  # this is the place
            failures = 1 if health.state == "up" else failures + 1
            _note(error, health, clock.now_ns())
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from error  # it failed while it was being stopped
            lost(error)
            pause = away if away and isinstance(error, OSError) else backoff
            await asyncio.sleep(pause.wait_s(failures, chance))
        else:
            health.turn("stopped", clock.now_ns())
            return


async def _heeding_cancel(work: Awaitable[None]) -> None:
    """Await; a CancelledError that nobody asked this task for comes from a library, and is a failure like any other."""
    try:
        await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("something that it waited for was cancelled") from error


class Books(Protocol):
    """Who is told what a device brings, and when it is lost (gateway/ledger/account.py)."""

    def came(self, batches: Sequence[Batch], answered: bool, now_ns: int) -> None: ...

    def lost(self, error: Exception, now_ns: int) -> None: ...

    def left(self, now_ns: int) -> None:
        """The device is not read any more."""
        ...


async def keep_device(
    connector: Connector,
    tags: NDArray[np.uint32],
    emit: Emit,
    latest: Latest,
    health: Health,
    *,
    clock: Clock,
    chance: random.Random,
    backoff: Backoff = Backoff(),
    books: Books | None = None,
) -> None:
    """Keep a device connected until cancelled; when it is lost, say so on all its tags."""
    marks = _Marks(latest)

    async def run(up: Callable[[], None]) -> None:
        def counted(*batches: Batch) -> None:
            spoke = any(answered(batch) for batch in batches)
            if spoke:
                marks.lift()
                up()
            health.readings += sum(map(len, batches))
            health.batches += 1
            health.last_ns = clock.now_ns()
            emit(*batches)
            if books is not None:
                books.came(batches, spoke, health.last_ns)

        await connector.run(counted)

    def lost(error: Exception) -> None:
        if books is not None:
            books.lost(error, clock.now_ns())
        batches = unusable(tags, quality_of(error), latest, clock.now_ns())
        if batches:
            marks.note(np.concatenate([batch.tag for batch in batches]))
            emit(*batches)

    away = Backoff(backoff.first_s, min(connector.retry_s, backoff.max_s)) if isinstance(connector, Prompt) else None
    try:
        await keep_running(run, health, clock=clock, chance=chance, lost=lost, backoff=backoff, away=away)
    finally:
        if books is not None:
            books.left(clock.now_ns())


class _Marks:
    """The tags of which it was said that the device is lost, and the times of their readings before that.

    It is no reading: what comes once the device is back is compared with the last reading. A value that did not change
    comes with the time of its change, and the clock of a device may be behind ours.
    """

    def __init__(self, latest: Latest) -> None:
        self._latest = latest
        self._tags = np.empty(0, np.uint32)
        self._time = np.empty(0, np.int64)

    def note(self, tags: NDArray[np.uint32]) -> None:
        self.lift()  # a device may be lost in several ways, one after the other
        self._tags, self._time = tags, self._latest.time[tags]

    def lift(self) -> None:
        self._latest.time[self._tags] = self._time
        self._tags, self._time = self._tags[:0], self._time[:0]


def answered(batch: Batch) -> bool:
    """Whether a device can have said this; that it said nothing is what others say of it."""
    silent = (batch.quality == Quality.BAD_TIMEOUT) | (batch.quality == Quality.BAD_NO_COMMUNICATION)
    return not silent.all()


def quality_of(error: Exception) -> Quality:
    """Return what a lost device means for its tags; TimeoutError is an OSError, so it is asked first."""
    match error:
        case DeviceError():
            return error.quality
        case TimeoutError():
            return Quality.BAD_TIMEOUT
        case OSError():
            return Quality.BAD_NOT_CONNECTED
        case _:
            return Quality.BAD_INTERNAL_ERROR


def unusable(tags: NDArray[np.uint32], quality: Quality, latest: Latest, now_ns: int) -> list[Batch]:
    """Return what to say of the tags of a lost device that does not say it already.

    A device that fell silent leaves the last value of a good tag usable, with its own time, as
    UncertainNoCommunicationLastUsableValue; in all other cases there is no value. The time of a bad reading is never
    before the tag's last one, or a device whose clock is ahead of ours would look alive.
    """
    known = latest.known(tags)
    usable = known & good(latest.quality[tags])
    if quality is Quality.BAD_TIMEOUT:
        stale = [Batch(b.tag, b.time, b.value, np.full(len(b), _STALE, np.uint32)) for b in latest.read(tags[usable])]
        return stale + _no_value(tags[~known], quality, latest, now_ns)
    return _no_value(tags[latest.quality[tags] != quality], quality, latest, now_ns)


_STALE: Final = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE


def _no_value(tags: NDArray[np.uint32], quality: Quality, latest: Latest, now_ns: int) -> list[Batch]:
    if len(tags) == 0:
        return []
    time = np.maximum(now_ns, latest.time[tags])
    return [Batch(tags, time, np.full(len(tags), np.nan), np.full(len(tags), quality, np.uint32))]


def _note(error: Exception, health: Health, now_ns: int) -> None:
    """Log the edge, count the rest."""
    health.failures += 1
    health.losses[type(error).__name__] += 1
    health.error = str(error) or type(error).__name__
    news = health.turn("down", now_ns)
    if not isinstance(error, (DeviceError, OSError)):
        health.bugs += 1
        log.error("%s: a bug of the gateway ended it; it is started again", health.name, exc_info=error)
    elif news:
        log.warning("%s is lost: %s", health.name, health.error)


@asynccontextmanager
async def running(*tasks: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run tasks as long as the scope lasts; then cancel them and wait until they have ended."""
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task) for task in tasks]
        yield
        for task in started:
            task.cancel()
