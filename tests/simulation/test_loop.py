"""The virtual loop itself: a simulation is worth as much as its clock."""

import asyncio
import time

import pytest

from tests.simulation.loop import EPOCH_NS, Deadlock, LoopClock, simulate


def test_a_day_passes_at_once_and_timers_come_in_order() -> None:
    async def world() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def wait(name: str, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            seen.append((name, asyncio.get_running_loop().time()))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait("day", 86_400.0))
            tasks.create_task(wait("second", 1.0))
            tasks.create_task(wait("hour", 3600.0))
        return seen

    began = time.monotonic()
    assert simulate(world()) == [("second", 1.0), ("hour", 3600.0), ("day", 86_400.0)]
    assert time.monotonic() - began < 5.0


def test_the_clock_goes_with_the_loop() -> None:
    async def world() -> int:
        await asyncio.sleep(1.5)
        return LoopClock().now_ns()

    assert simulate(world()) == EPOCH_NS + 1_500_000_000


def test_timeouts_are_virtual_too() -> None:
    async def world() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30.0):
                await asyncio.sleep(60.0)
        return asyncio.get_running_loop().time()

    assert simulate(world()) == 30.0


def test_a_deadlock_is_an_error_and_not_a_hang() -> None:
    async def world() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        simulate(world())


def test_timers_may_come_early() -> None:
    async def world() -> float:
        await asyncio.sleep(1.0)
        return asyncio.get_running_loop().time()

    assert simulate(world(), early_s=0.001) == 0.999
