"""Pace: when to poll. A poll that would come late is skipped and counted, never queued.

Everything runs on the event loop's clock, so that a simulation can turn it.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence


async def due(
    periods_s: Sequence[float], phase: float, counts: Counter[str], readings: Sequence[int] = ()
) -> AsyncIterator[int]:
    """Yield the number of the period that is due next, for ever; each once at once, then in step with the clock.

    `phase`, 0 to 1, shifts the steps within their period: devices with other phases are not all polled at the same
    moment. When the work between two yields took longer than a period, the missed turns are counted under
    `polls_skipped`. `readings` is how many a turn of each period should bring; they are counted under `readings_due`
    and `readings_skipped` (Polled in gateway/contracts).
    """
    loop = asyncio.get_running_loop()
    at = [loop.time()] * len(periods_s)
    while True:
        turn = min(range(len(at)), key=at.__getitem__)
        await _until(at[turn])
        if readings:
            counts["readings_due"] += readings[turn]
        yield turn
        period_s = periods_s[turn]
        now = max(loop.time(), at[turn] + period_s / 4)  # a timer may come early, uvloop's by up to a millisecond
        following = (math.floor(now / period_s - phase) + 1 + phase) * period_s
        skipped = max(0, round((following - at[turn]) / period_s) - 1)
        counts["polls_skipped"] += skipped
        if readings:
            counts["readings_skipped"] += skipped * readings[turn]
        at[turn] = following


def heed_cancel() -> None:
    """Raise CancelledError if this task has been cancelled and a library swallowed it.

    asyncio.wait_for does on Python 3.11 when the answer comes in the same turn, and so do libraries that catch too
    much; the task remembers.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _until(at: float) -> None:
    """Wait, also when nothing is left to wait for: others have to get their turn."""
    heed_cancel()
    await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
