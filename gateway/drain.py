"""From a cursor of the journal to a sink: write, and only then confirm."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from gateway.contracts import Sink
from gateway.journal import Cursor, Journal
from gateway.model import Record

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
    """Hand records to the sink, but confirm them only when that is `doubt_s` ago: what was written later comes again if
    the sink fails, for a far side of which it is known only after a while that it is gone.

    So there are two places in the journal: how far it is written, and the cursor, which reads everything once more.
    """
    written_to = due = cursor.position
    now = asyncio.get_running_loop().time
    written: deque[tuple[float, int]] = deque()
    doubtful: Sequence[Record] = ()
    while True:
        records, reached = await journal.after(written_to)
        if not records and reached == written_to:
            return
        if records:
            await sink.write(records)
            up()
        written_to = reached
        written.append((now(), reached))
        while written and written[0][0] <= now() - doubt_s:
            due = written.popleft()[1]
        while cursor.position < due:
            doubtful = doubtful or await cursor.next()
            if not doubtful or doubtful[-1].position > due:
                break
            cursor.confirm()
            doubtful = ()
