"""From a cursor of the journal to a sink: write, and only then confirm."""

import asyncio
from collections.abc import Callable

from gateway.contracts import Sink
from gateway.journal import Cursor

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
