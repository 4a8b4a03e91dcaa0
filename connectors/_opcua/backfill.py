"""What was missed, made good from the history of the server.

After a loss the items that stay silent are asked for their values. What they and the others missed then lies between
two readings (gaps.py), and is read where the server has a history of the node (history.py). Nothing here ends a
connection: a history that is slow, refused or not there costs nothing but what it would have had.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np
from asyncua import Client, ua
from numpy.typing import NDArray

from connectors._opcua.calls import PER_HISTORY_READ, calls, per_call
from connectors._opcua.decode import DecodeError, Kept
from connectors._opcua.gaps import Rows, Times, Told
from connectors._opcua.history import RawHistory
from connectors._opcua.options import History
from connectors._opcua.reading import read
from connectors._opcua.remarks import Remarks
from connectors._opcua.structures import Structures
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device, Emit
from gateway.model import Batch
from gateway.model.batch import join_kinds
from gateway.model.quality import BAD, name

_AT_ONCE: Final = 100
"""Nodes per request where the server names no limit, or a higher one: each may have many values."""
_DELAY_S: Final = 2.0
_KEEP_S: Final = 10.0
"""How often it is kept how far was told: after a restart what came since is read again, and told only once."""
_HISTORY_READ: Final = 1 << 2
"""Bit of UserAccessLevel (OPC 10000-3, 8.57)."""
_NO_BOUND: Final = 0x80D7_0000
"""BadBoundNotFound: a bound, which some servers tell although nobody asks for bounds."""
_CODE: Final = 0xFFFF_0000
_FAILURES: Final = (ua.UaError, DecodeError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Server:
    """A server as long as a connection to it lasts: its nodes by number of the tag, and who gets what is read there."""

    client: Client
    types: Structures
    nodes: Mapping[int, ua.NodeId]
    emit: Emit


class Backfill:
    """Makes good what was lost of a device.

    `counts` has `backfilled`, readings from the history; `history_refused`, tags that it does not tell of; and
    `history_cut`, tags of which not all was read, because it was too old or too much.
    """

    def __init__(self, device: Device, told: Told, remarks: Remarks, clock: Clock, counts: Counter[str]) -> None:
        self._remarks = remarks
        wanted = device.options.history
        self._options: History | None = None if wanted == "off" else wanted
        self._delay_s = self._options.delay if self._options else _DELAY_S
        self._timeout_s: float = device.options.timeout
        self._numbers = device.numbers
        self._stored = device.stored
        self._told = told
        self._clock = clock
        self._counts = counts
        self._said = ""
        self._past = device.past
        self._recalled = False
        self._kept_s = -_KEEP_S

    async def recall(self) -> None:
        """Know what had been told when the gateway ran last; once, before anything is told."""
        if self._options and not self._recalled:
            async for batch in self._past.since():
                self._told.heard(batch)
            self._told.recall(self._past.told)
        self._recalled = True

    async def look(self, client: Client, nodes: Mapping[int, ua.NodeId]) -> None:
        """Remark, before it matters, that the server keeps no history of these nodes; the first of them tell."""
        if not self._options or not nodes:
            return
        some = dict(islice(nodes.items(), _AT_ONCE))
        try:
            kept = await self._historized(client, some, np.flatnonzero(np.isin(self._numbers, list(some))))
        except ua.UaError:
            return  # it is asked again when something is missing, and then it is said
        self._remarks.unhistorized([] if kept.any() else list(some))

    async def run(self, server: Server) -> None:
        """Fill gaps as they come, for ever; each when its end is known since the delay."""
        silent = ended = np.empty(0, np.intp)
        while True:
            await asyncio.sleep(self._delay_s)
            heed_cancel()
            await self._ask(server, np.intersect1d(silent, self._told.open()))
            await self._fill(server, ended)
            self._keep()
            silent, ended = self._told.open(), self._told.closed()[0]

    def _keep(self) -> None:
        """Keep how far all was told, now and then, as long as nothing is missing before that."""
        now_s = asyncio.get_running_loop().time()
        if self._options and now_s >= self._kept_s + _KEEP_S and (told := self._told.whole()) is not None:
            self._past.keep(told)
            self._kept_s = now_s

    async def _ask(self, server: Server, silent: Rows) -> None:
        """Read what may have been lost for good, because it did not change since."""
        if not len(silent):
            return
        asked = [(number, server.nodes[number]) for number in self._numbers[silent].tolist() if number in server.nodes]

        def take(*batches: Batch) -> None:
            server.emit(*map(self._told.asked, batches))

        try:
            await read(server.client, asked, take, self._clock, server.types)
        except _FAILURES as error:
            self._refuse([number for number, _ in asked], f"{type(error).__name__}: {error}")
        self._told.gone(self._numbers[np.intersect1d(silent, self._told.open())])

    async def _fill(self, server: Server, ended: Rows) -> None:
        """Read what is missing of these rows, so far as it is wanted and there."""
        rows, after, before = self._told.closed()
        old = np.isin(rows, ended)
        rows, after, before = rows[old], after[old], before[old]
        if self._options and len(rows):
            earliest = before - round(self._options.window * 1e9)
            self._counts["history_cut"] += int(np.count_nonzero(earliest > after))
            self._told.up_to(rows, earliest)
            await self._read(server, self._options, rows, np.maximum(after, earliest), before)
        self._told.up_to(rows, before)

    async def _read(self, server: Server, options: History, rows: Rows, after: Times, before: Times) -> None:
        """Read the history of those that have one, so many at once as the server takes, of like age together."""
        by_age = np.argsort(after, kind="stable")
        rows, after, before = rows[by_age], after[by_age], before[by_age]
        node_of = dict(server.nodes)  # one may go while others are asked for
        try:
            kept = await self._historized(server.client, node_of, rows)
            size = await per_call(server.client, PER_HISTORY_READ, _AT_ONCE)
        except _FAILURES as error:
            self._refuse(self._numbers[rows].tolist(), f"{type(error).__name__}: {error}")
            return
        if not kept.any():
            self._refuse(self._numbers[rows].tolist(), "it keeps none of these nodes")
        rows, after, before = rows[kept], after[kept], before[kept]
        history = RawHistory(server.client, options, self._timeout_s, self._clock, self._counts, server.types)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            numbers = self._numbers[rows[part]].tolist()
            nodes = [(number, node_of[number]) for number in numbers]
            row_of = dict(zip(numbers, rows[part].tolist(), strict=True))
            try:
                async for pages in history.pages(nodes, int(after[part].min()), int(before[part].max())):
                    missed = [b for n, page in pages for b in self._missed(row_of[n], page, options.order)]
                    self._counts["backfilled"] += sum(map(len, missed))
                    server.emit(*join_kinds(missed))
                    await self._stored()
            except _FAILURES as error:
                self._refuse(numbers, f"{type(error).__name__}: {error}")

    async def _historized(self, client: Client, node_of: Mapping[int, ua.NodeId], rows: Rows) -> NDArray[np.bool_]:
        """Which of the rows have a node whose history this user may read."""
        numbers = self._numbers[rows].tolist()
        nodes = {number: node_of[number] for number in numbers if number in node_of}
        ask = await calls(client)
        levels = dict(zip(nodes, await ask.read(list(nodes.values()), ua.AttributeIds.UserAccessLevel), strict=True))
        return np.array([number in levels and _readable(levels[number]) for number in numbers])

    def _missed(self, row: int, page: Kept, order: str) -> list[Batch]:
        """What is missing of a page, flagged; it is not missing any more."""
        if page.status >= BAD:
            self._refuse([int(self._numbers[row])], name(page.status))
        missed = []
        for batch in page.batches:
            missing = self._told.missing(row, batch.time) & (batch.quality & _CODE != _NO_BOUND)
            missed.append(replace(batch.where(missing), historical=True))
        times = [batch.time for batch in page.batches if len(batch)]
        if times and order == "newest":
            self._told.down_to(row, min(int(time.min()) for time in times))
        elif times:
            self._told.up_to(np.array([row]), max(int(time.max()) for time in times))
        return missed

    def _refuse(self, numbers: Sequence[int], why: str) -> None:
        """Count; say it once, and again if it is for another reason."""
        self._counts["history_refused"] += len(numbers)
        if why != self._said:
            self._remarks.history(numbers, why)
        self._said = why


def _readable(level: ua.DataValue) -> bool:
    value = level.Value.Value if level.Value is not None else None
    return isinstance(value, int) and bool(value & _HISTORY_READ)
