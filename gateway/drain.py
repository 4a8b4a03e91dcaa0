"""From a cursor of the journal to a sink: write, and only then confirm."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.contracts import Sink
from gateway.journal import Cursor, Journal

_PLENTY = 200
"""So many records at once mean that the sink is behind: it does not wait for more."""


async def drain(cursor: Cursor, sink: Sink, up: Callable[[], None], gather_s: float = 0.0) -> None:
    """Hand records to the sink until the journal has ended. Raises what the sink raises; then the same come again.

    `up` is called after every write that worked; `gather_s` waits between writes for more to come, where one is dear.
    """
    while records := await cursor.next():
        await sink.write(records)
        cursor.confirm()
        up()
        if gather_s and len(records) < _PLENTY:
            await asyncio.sleep(gather_s)


async def drain_in_doubt(journal: Journal, cursor: Cursor, sink: Sink, up: Callable[[], None], doubt_s: float) -> None:
    """Hand records to the sink, but confirm them only after some time: what was written in the last `doubt_s` comes
    again if the sink fails, for a far side that is known to be gone only when it has been gone for a while."""
    reached = cursor.position
    now = asyncio.get_running_loop().time
    written: deque[tuple[float, int]] = deque()
    while True:
        records, position = await journal.after(reached)
        if not records and position == reached:
            return
        if records:
            await sink.write(records)
            up()
        reached = position
        written.append((now(), reached))
        while written and written[0][0] <= now() - doubt_s:
            cursor.position = written.popleft()[1]
