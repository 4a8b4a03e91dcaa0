"""When to poll: in step with the clock, late polls are skipped and counted, a cancel gets through; in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from connectors._pace import due
from tests.simulation.loop import simulate

Turn = tuple[float, int]


async def turns(
    periods_s: Sequence[float], until_s: float, work_s: Mapping[int, float], phase: float = 0.0
) -> tuple[list[Turn], int]:
    """Return when which period was due, and how many polls were skipped; the n-th turn takes `work_s[n]`."""
    counts: Counter[str] = Counter()
    seen: list[Turn] = []
    loop = asyncio.get_running_loop()
    async for turn in due(periods_s, phase, counts):
        if loop.time() > until_s or len(seen) > 5_000:
            break
        seen.append((round(loop.time(), 6), turn))
        await asyncio.sleep(work_s.get(len(seen), 0.0))
    return seen, counts["polls_skipped"]


def test_the_first_turn_is_now_and_the_others_keep_step() -> None:
    assert simulate(turns([1.0], 3.5, {})) == ([(0.0, 0), (1.0, 0), (2.0, 0), (3.0, 0)], 0)


def test_devices_of_other_phases_are_polled_at_other_moments() -> None:
    seen, skipped = simulate(turns([1.0], 3.5, {}, phase=0.25))
    assert ([time for time, _ in seen][-3:], skipped) == ([1.25, 2.25, 3.25], 0)


def test_work_that_fits_into_the_period_does_not_shift_it() -> None:
    seen, skipped = simulate(turns([1.0], 5.0, dict.fromkeys(range(1, 99), 0.9)))
    assert ([time for time, _ in seen], skipped) == ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 0)


def test_several_periods_take_their_turns() -> None:
    seen, skipped = simulate(turns([0.5, 2.0], 2.0, {}))
    assert sorted(seen) == [(0.0, 0), (0.0, 1), (0.5, 0), (1.0, 0), (1.5, 0), (2.0, 0), (2.0, 1)]
    assert skipped == 0


def test_polls_that_would_come_late_are_skipped_and_counted() -> None:
    seen, skipped = simulate(turns([1.0], 6.0, {2: 3.5}))
    assert ([time for time, _ in seen], skipped) == ([0.0, 1.0, 5.0, 6.0], 3)


def test_slow_work_of_one_period_delays_the_other_but_keeps_its_step() -> None:
    seen, skipped = simulate(turns([1.0, 10.0], 5.5, {2: 2.5}))
    assert seen == [(0.0, 0), (0.0, 1), (2.5, 0), (3.0, 0), (4.0, 0), (5.0, 0)]
    assert skipped == 1


@pytest.mark.parametrize("early_s", [0.0, 0.001])
@pytest.mark.parametrize("phase", [0.0, 0.1, 0.1234567, 0.5, 0.999])
@pytest.mark.parametrize("period_s", [0.1, 0.3, 1 / 3, 2.0])
def test_every_period_has_one_turn_whatever_the_clock_rounds(period_s: float, phase: float, early_s: float) -> None:
    """A timer may come early: uvloop's by up to a millisecond. That is not a turn of the period before."""
    seen, skipped = simulate(turns([period_s], 200.0, {}, phase), early_s=early_s)
    assert skipped == 0
    assert abs(len(seen) - 200.0 / period_s) <= 2


@pytest.mark.parametrize("work_s", [0.0, 0.5, 5.0])
def test_a_cancel_gets_through_even_when_it_is_always_late_and_somebody_swallowed_it(work_s: float) -> None:
    """What asyncio.wait_for does on Python 3.11 when a cancel and an answer come together."""

    async def world() -> int:
        polls = 0

        async def poll() -> None:
            nonlocal polls
            async for _ in due([1.0], 0.0, Counter()):
                polls += 1
                try:
                    await asyncio.sleep(work_s)
                except asyncio.CancelledError:
                    continue

        async with asyncio.TaskGroup() as tasks:
            polling = tasks.create_task(poll())
            await asyncio.sleep(10.25)
            before = polls
            polling.cancel()
        return polls - before

    assert simulate(world()) <= 1
