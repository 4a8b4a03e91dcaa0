"""Raw values from the history of a server, page by page (HistoryRead: OPC 10000-4, 5.11.3; 10000-11, 6.5.3)."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from asyncua import Client, ua

from connectors._opcua.calls import in_batches
from connectors._opcua.decode import Kept, history_response
from connectors._opcua.options import History
from connectors._opcua.publishing import checked
from connectors._opcua.structures import Structures
from connectors._pace import heed_cancel
from gateway.contracts import Clock

Node = tuple[int, ua.NodeId]
Nodes = Sequence[Node]
"""Nodes, each with the number of its tag."""

_VALUES_AT_ONCE: Final = 100_000
"""Values of all nodes in an answer: a few megabytes."""
_PATIENCE: Final = 10
"""A history is a database: it may take so many times as long as other answers."""
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_POINTS: Final = 0x804B_0000
"""BadNoContinuationPoints: the node can be asked for alone."""


class RawHistory:
    """Reads as the options say. `counts` has `history_cut`, nodes with more values than are wanted."""

    def __init__(
        self,
        client: Client,
        options: History,
        timeout_s: float,
        clock: Clock,
        counts: Counter[str],
        types: Structures,
    ) -> None:
        self._client = client
        self._options = options
        self._timeout_s = _PATIENCE * timeout_s
        self._clock = clock
        self._counts = counts
        self._types = types

    async def pages(self, nodes: Nodes, first_ns: int, last_ns: int) -> AsyncIterator[list[tuple[int, Kept]]]:
        """Yield what is kept of nodes, each with the number of its tag, from one time to another, a request at a time.

        Raises UaError, DecodeError or TimeoutError if the server cannot or does not answer, OSError if it is gone.
        """
        left = dict.fromkeys(nodes, self._options.values)
        todo = [(nodes, first_ns, last_ns)]
        while todo:
            part, first, last = todo.pop()
            at_once = max(1, min(self._options.values, _VALUES_AT_ONCE // len(part)))
            details = self._details(first, last, at_once)
            asked = [(node, b"") for node in part]
            while asked:
                found = await in_batches(partial(self._page, details), asked, len(asked))
                answers = list(zip([node for node, _ in asked], found, strict=True))
                refused = [node for node, kept in answers if kept.status == _NO_POINTS and len(part) > 1]
                todo += [([node], first, last) for node in refused]
                yield [(node[0], kept) for node, kept in answers if node not in refused]
                for node, kept in answers:
                    left[node] -= max(1, sum(map(len, kept.batches)))  # so that a server cannot go on for ever
                    if left[node] > 0 and not kept.point:
                        todo += self._rest(node, kept, first, last, at_once)
                full = [(node, kept.point) for node, kept in answers if left[node] <= 0]
                self._counts["history_cut"] += len(full)
                await self._release(details, [(node, point) for node, point in full if point])
                asked = [(node, kept.point) for node, kept in answers if kept.point and left[node] > 0]

    def _rest(self, node: Node, kept: Kept, first: int, last: int, at_once: int) -> list[tuple[Nodes, int, int]]:
        """What there may be beyond a full page that says nothing of more: some servers just stop."""
        times = [batch.time for batch in kept.batches if len(batch)]
        if sum(map(len, times)) < at_once:
            return []
        if self._options.order == "newest":
            last, before = min(int(time.min()) for time in times), last
            return [([node], first, last)] if first < last < before else []
        first, before = max(int(time.max()) for time in times), first
        return [([node], first, last)] if before < first < last else []

    def _details(self, first_ns: int, last_ns: int, at_once: int) -> ua.ReadRawModifiedDetails:
        """All between the times, a microsecond more at the end; backwards if the newest are wanted."""
        begin, end = _time(first_ns), _time(last_ns) + timedelta(microseconds=1)
        if self._options.order == "newest":
            begin, end = end, begin
        details = ua.ReadRawModifiedDetails(StartTime=begin, EndTime=end, NumValuesPerNode=ua.Counter(at_once))
        details.IsReadModified = details.ReturnBounds = False
        return details

    async def _page(
        self,
        details: ua.ReadRawModifiedDetails,
        asked: Sequence[tuple[Node, bytes]],
        *,
        release: bool = False,
    ) -> list[Kept]:
        request = ua.HistoryReadRequest()
        request.Parameters.HistoryReadDetails = details
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.ReleaseContinuationPoints = release
        request.Parameters.NodesToRead = [
            ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point or None) for (_, node), point in asked
        ]
        body = await self._client.uaclient._send_request(request, self._timeout_s)
        heed_cancel()
        answer, numbers = checked(body), [number for (number, _), _ in asked]
        decode = partial(history_response, answer, numbers, self._clock.now_ns(), self._types)
        return await self._types.decoded(self._client, decode)

    async def _release(self, details: ua.ReadRawModifiedDetails, asked: Sequence[tuple[Node, bytes]]) -> None:
        """Give back continuation points that are not needed any more; a server has few."""
        if asked:
            await self._page(details, asked, release=True)


def _time(ns: int) -> datetime:
    return _1970 + timedelta(microseconds=ns // 1000)
