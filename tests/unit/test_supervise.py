"""The supervisor: errors become quality, waits grow with jitter to a cap, and it never gives up; in virtual time."""

import asyncio
import itertools
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import Connector, DeviceError, Emit
from gateway.latest import Latest
from gateway.model import Batch, Quality
from gateway.supervise import Backoff, Health, keep_device, keep_running, quality_of, unusable
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

STALE = 0x408F_0000
TAGS = np.arange(4, dtype=np.uint32)

# --- how long to wait ---------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 10_000), st.integers(0, 2**32), st.floats(0.1, 10), st.floats(10, 1000))
def test_the_wait_doubles_up_to_the_cap_and_half_of_it_is_chance(
    failures: int, seed: int, first: float, cap: float
) -> None:
    wait = Backoff(first, cap).wait_s(failures, random.Random(seed))
    full = first
    for _ in range(failures - 1):
        full = min(cap, 2 * full)
    assert 0.5 * full * (1 - 1e-9) <= wait <= full * (1 + 1e-9) <= cap * (1 + 1e-9)


def test_two_devices_do_not_knock_at_the_same_time() -> None:
    chance = random.Random(1)
    waits = {Backoff().wait_s(20, chance) for _ in range(1000)}
    assert len(waits) == 1000
    assert min(waits) < 16.0 < 29.0 < max(waits) <= 30.0


# --- errors become quality (the table of the design) --------------------------------------


@pytest.mark.parametrize(
    ("error", "quality"),
    [
        (ConnectionRefusedError(), 0x808A_0000),
        (ConnectionResetError(), 0x808A_0000),
        (OSError("Name or service not known"), 0x808A_0000),
        (TimeoutError(), 0x800A_0000),
        (DeviceError("no right to read", Quality.BAD_USER_ACCESS_DENIED), 0x801F_0000),
        (ValueError("a bug"), 0x8002_0000),
        (ExceptionGroup("bugs", [KeyError("x")]), 0x8002_0000),
    ],
)
def test_errors_become_quality(error: Exception, quality: int) -> None:
    assert quality_of(error) == quality


def told(batches: Sequence[Batch]) -> dict[int, tuple[int, int, object]]:
    """Tag -> time, quality and value."""
    return {
        tag: (time, quality, value)
        for b in batches
        for tag, time, quality, value in zip(
            b.tag.tolist(), b.time.tolist(), b.quality.tolist(), b.value.tolist(), strict=True
        )
    }


def latest_of(*batches: Batch) -> Latest:
    latest = Latest(len(TAGS))
    for batch in batches:
        latest.update(batch)
    return latest


def test_a_device_that_is_gone_leaves_no_value() -> None:
    latest = latest_of(Batch.of([0, 1], 100, [1.5, 2.5]), Batch.of([2], 100, ["text"]))
    found = told(unusable(TAGS, Quality.BAD_NOT_CONNECTED, latest, 200))
    assert {tag: row[:2] for tag, row in found.items()} == dict.fromkeys(range(4), (200, 0x808A_0000))
    assert all(np.isnan(row[2]) for row in found.values())  # type: ignore[call-overload]


def test_a_silent_device_leaves_the_last_good_values_usable_with_their_own_time() -> None:
    latest = latest_of(
        Batch.of([0], 100, [1.5]), Batch.of([1], 110, ["text"]), Batch.of([2], 120, [2.5], Quality.BAD_DEVICE_FAILURE)
    )
    found = told(unusable(TAGS, Quality.BAD_TIMEOUT, latest, 200))
    assert found.keys() == {0, 1, 3}
    assert (found[0], found[1]) == ((100, STALE, 1.5), (110, STALE, "text"))
    assert found[3][:2] == (200, 0x800A_0000)


def test_what_is_said_already_is_not_said_again() -> None:
    for quality in (Quality.BAD_NOT_CONNECTED, Quality.BAD_TIMEOUT, Quality.BAD_INTERNAL_ERROR):
        latest = latest_of(Batch.of([0, 1], 100, [1.5, 2.5]))
        first = unusable(TAGS, quality, latest, 200)
        for batch in first:
            latest.update(batch)
        assert len(told(first)) == len(TAGS)
        assert unusable(TAGS, quality, latest, 300) == []


def test_silence_that_becomes_a_refusal_takes_the_value_back() -> None:
    latest = latest_of(Batch.of(TAGS, 100, 1.5), Batch.of(TAGS, 100, 1.5, STALE))
    found = told(unusable(TAGS, Quality.BAD_NOT_CONNECTED, latest, 200))
    assert {row[:2] for row in found.values()} == {(200, 0x808A_0000)}


def test_a_device_whose_clock_is_ahead_of_ours_does_not_look_alive() -> None:
    latest = latest_of(Batch.of(TAGS, 5_000, 1.5))
    for batch in unusable(TAGS, Quality.BAD_NOT_CONNECTED, latest, 200):
        latest.update(batch)
    assert latest.quality.tolist() == [0x808A_0000] * 4


# --- keep running -------------------------------------------------------------------------

Step = Exception | float
"""What one run of a part does: fail at once, or be up for so many seconds and then fail."""


async def kept(steps: Sequence[Step], health: Health, backoff: Backoff) -> tuple[list[float], list[str]]:
    """Run the steps one after the other; return when each began, and what `lost` was told."""
    loop = asyncio.get_running_loop()
    began: list[float] = []
    lost: list[str] = []

    async def run(up: Callable[[], None]) -> None:
        began.append(loop.time())
        if len(began) > len(steps):
            return
        step = steps[len(began) - 1]
        if isinstance(step, Exception):
            raise step
        up()
        await asyncio.sleep(step)
        up()
        raise ConnectionResetError("gone")

    await keep_running(
        run,
        health,
        clock=LoopClock(),
        chance=random.Random(0),
        lost=lambda error: lost.append(type(error).__name__),
        backoff=backoff,
    )
    return began, lost


def test_waits_grow_while_it_fails_and_start_again_when_it_was_up() -> None:
    steps: list[Step] = [*(OSError("refused") for _ in range(8)), 100.0, OSError("refused"), OSError("refused")]
    began, lost = simulate(kept(steps, Health("x"), Backoff(1.0, 30.0)))
    waits = [after - before for before, after in itertools.pairwise(began)]
    waits[8] -= 100.0
    for wait, full in zip(waits, [1, 2, 4, 8, 16, 30, 30, 30, 1, 2, 4], strict=True):
        assert 0.5 * full <= wait <= full
    assert lost == ["OSError"] * 8 + ["ConnectionResetError"] + ["OSError"] * 2


def test_it_never_gives_up() -> None:
    health = Health("x")
    began, _ = simulate(kept([OSError("refused")] * 5_000, health, Backoff()))
    assert (len(began), health.runs, health.failures) == (5_001, 5_001, 5_000)
    assert max(np.diff(began)) <= 30.0


def test_health_tells_state_reason_and_counts() -> None:
    async def world() -> list[tuple[str, int, str]]:
        health = Health("x")
        states: list[tuple[str, int, str]] = []

        async def run(up: Callable[[], None]) -> None:
            await asyncio.sleep(10.0)
            if health.runs == 1:
                raise TimeoutError("no answer within 1 s")
            up()
            await asyncio.sleep(10.0)

        async def look() -> None:
            for _ in range(6):
                await asyncio.sleep(6.0)
                states.append((health.state, (health.since_ns - EPOCH_NS) // 10**9, health.error))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(look())
            tasks.create_task(
                keep_running(run, health, clock=LoopClock(), chance=random.Random(0), backoff=Backoff(1.0))
            )
        assert health.losses == Counter(TimeoutError=1)
        return states

    states = simulate(world())
    assert [state for state, _, _ in states] == ["connecting", "down", "down", "up", "up", "stopped"]
    assert [error for _, _, error in states][1:4] == ["no answer within 1 s", "no answer within 1 s", ""]
    assert states[1][1] == 10


@pytest.mark.brings_bugs
def test_a_bug_is_told_with_its_traceback_and_run_again(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("device x")
    began, _ = simulate(kept([ZeroDivisionError("oops"), 5.0], health, Backoff()))
    assert (len(began), health.bugs, health.failures) == (3, 1, 2)
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "device x: a bug of the gateway ended it" in record.getMessage()
    assert record.exc_info is not None


def test_edges_are_logged_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refused = OSError("refused")
    simulate(kept([refused, refused, refused, 5.0, refused, refused, 5.0], Health("x"), Backoff()))
    assert [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("gateway")] == [
        ("WARNING", "x is lost: refused"),
        ("WARNING", "x is back"),
        ("WARNING", "x is lost: gone"),
        ("WARNING", "x is back"),
        ("WARNING", "x is lost: gone"),
    ]


def test_a_cancel_ends_it_at_once_while_it_waits_and_while_it_runs() -> None:
    async def world(step: Step) -> float:
        task = asyncio.ensure_future(kept([step] * 9, Health("x"), Backoff(100.0, 100.0)))  # noqa: TID251
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return asyncio.get_running_loop().time()

    assert simulate(world(OSError("refused"))) == 1.0
    assert simulate(world(1000.0)) == 1.0


@pytest.mark.brings_bugs
@pytest.mark.parametrize("error", [OSError("gone"), AttributeError("join")])
def test_what_fails_while_it_is_stopped_is_not_run_again(error: Exception) -> None:
    async def run(up: Callable[[], None]) -> None:
        up()
        try:
            await asyncio.sleep(60.0)
        finally:
            raise error

    async def world() -> bool:
        health = Health("part")
        task = asyncio.ensure_future(  # noqa: TID251
            keep_running(run, health, clock=LoopClock(), chance=random.Random(1))
        )
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled() and health.runs == 1

    assert simulate(world())


def test_a_cancel_from_within_a_library_is_a_failure_like_any_other() -> None:
    """A library that cancels what it waits for must not end the supervision of a device for ever."""

    async def world() -> int:
        health = Health("x")

        async def run(up: Callable[[], None]) -> None:
            if health.runs == 1:
                inner: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                inner.cancel()
                await inner

        await keep_running(run, health, clock=LoopClock(), chance=random.Random(0))
        return health.runs

    assert simulate(world()) == 2


# --- keep a device ------------------------------------------------------------------------


class Machine:
    """A Connector: in each run a good reading of three of its four tags, five seconds, and then the next error."""

    def __init__(self, *errors: Exception) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}
        self._errors = list(errors)

    async def run(self, emit: Emit) -> None:
        emit(Batch.of(TAGS[:3], LoopClock().now_ns(), 1.5))
        await asyncio.sleep(5.0)
        if self._errors:
            raise self._errors.pop(0)
        await asyncio.sleep(1e6)


class Constant:
    """A Connector whose device has had one value since long, at 5 ns, and is lost now and then, in several ways."""

    def __init__(self, *errors: Exception) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}
        self._errors = list(errors)

    async def run(self, emit: Emit) -> None:
        error = self._errors.pop(0) if self._errors else None
        if not isinstance(error, DeviceError):  # one of these does not even answer
            emit(Batch.of(TAGS, 5, 1.5))
        await asyncio.sleep(1.0 if error else 1e6)
        if error:
            raise error


def test_a_value_that_did_not_change_while_the_device_was_away_is_good_again() -> None:
    refused = DeviceError("refused", Quality.BAD_COMMUNICATION_ERROR)
    latest = Latest(len(TAGS))

    async def world() -> None:
        connector, health = Constant(ConnectionResetError("gone"), refused, refused, TimeoutError()), Health("device x")

        def emit(*batches: Batch) -> None:
            for batch in batches:
                latest.update(batch)

        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(
                keep_device(connector, TAGS, emit, latest, health, clock=LoopClock(), chance=random.Random(0))
            )
            await asyncio.sleep(20.0)
            keeping.cancel()

    simulate(world())
    (batch,) = latest.read(TAGS)
    assert (batch.time.tolist(), batch.value.tolist(), batch.quality.tolist()) == ([5] * 4, [1.5] * 4, [0] * 4)


class Away:
    """A Connector that is prompt, and fails as it is told, for ever."""

    retry_s = 4.0

    def __init__(self, error: Exception) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}
        self.began_s: list[float] = []
        self._error = error

    async def run(self, emit: Emit) -> None:
        self.began_s.append(asyncio.get_running_loop().time())
        raise self._error


@pytest.mark.parametrize(
    ("error", "longest_s"),
    [(ConnectionRefusedError(), 4.0), (TimeoutError(), 4.0), (DeviceError("no", Quality.BAD_USER_ACCESS_DENIED), 30.0)],
)
def test_a_prompt_connector_is_soon_run_again_when_its_device_is_away_and_not_when_it_refuses(
    error: Exception, longest_s: float
) -> None:
    connector, latest = Away(error), Latest(len(TAGS))

    async def world() -> None:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(
                keep_device(
                    connector,
                    TAGS,
                    lambda *batches: None,
                    latest,
                    Health("device x"),
                    clock=LoopClock(),
                    chance=random.Random(0),
                )
            )
            await asyncio.sleep(600.0)
            keeping.cancel()

    simulate(world())
    assert longest_s / 2 < np.diff(connector.began_s).max() <= longest_s


Said = tuple[float, list[int], list[int]]
"""When, of which tags, and their qualities."""


async def watched(connector: Connector, health: Health) -> list[Said]:
    """Keep the device for twenty seconds; return what was emitted."""
    latest = Latest(len(TAGS))
    said: list[Said] = []
    loop = asyncio.get_running_loop()

    def emit(*batches: Batch) -> None:
        for batch in batches:
            latest.update(batch)
            said.append((loop.time(), batch.tag.tolist(), batch.quality.tolist()))

    chance, backoff = random.Random(0), Backoff(2.0, 2.0)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(
            keep_device(connector, TAGS, emit, latest, health, clock=LoopClock(), chance=chance, backoff=backoff)
        )
        await asyncio.sleep(20.0)
        keeping.cancel()
    return said


def test_a_lost_device_is_told_on_all_its_tags_and_read_again() -> None:
    health = Health("device x")
    first, lost, again = simulate(watched(Machine(ConnectionResetError("gone")), health))
    assert first == (0.0, [0, 1, 2], [0, 0, 0])
    assert lost == (5.0, [0, 1, 2, 3], [0x808A_0000] * 4)
    assert 6.0 <= again[0] <= 7.0
    assert again[1:] == ([0, 1, 2], [0, 0, 0])
    assert (health.state, health.runs, health.failures) == ("up", 2, 1)
    assert (health.readings, health.batches) == (6, 2)
    assert health.last_ns == EPOCH_NS + round(again[0] * 1e9)


def test_a_silent_device_is_told_as_such() -> None:
    said = simulate(watched(Machine(TimeoutError("no answer")), Health("device x")))
    assert said[1:3] == [(5.0, [0, 1, 2], [STALE] * 3), (5.0, [3], [0x800A_0000])]


@pytest.mark.brings_bugs
def test_a_bug_in_a_connector_costs_its_own_device_and_is_run_again() -> None:
    health = Health("device x")
    _, lost, again = simulate(watched(Machine(KeyError("x")), health))
    assert lost == (5.0, [0, 1, 2, 3], [0x8002_0000] * 4)
    assert again[1:] == ([0, 1, 2], [0, 0, 0])
    assert health.bugs == 1
