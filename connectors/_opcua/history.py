"""Raw values from the history of a server, page by page (HistoryRead: OPC 10000-4, 5.11.3; 10000-11, 6.5.3)."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from asyncua import Client, ua

from connectors._opcua.calls import in_batches
from connectors._opcua.decode import Kept, history_response
from connectors._opcua.options import History
from connectors._opcua.publishing import checked
from connectors._pace import heed_cancel
from gateway.contracts import Clock

_PATIENCE: Final = 10
"""A history is a database: it may take so many times as long as other answers."""
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_POINTS: Final = 0x804B_0000
"""BadNoContinuationPoints: the node can be asked for alone."""


class RawHistory:
    """Reads as the options say. `counts` has `history_cut`, nodes with more values than are wanted."""

    def __init__(self, client: Client, options: History, timeout_s: float, clock: Clock, counts: Counter[str]) -> None:
        self._client = client
        self._options = options
        self._timeout_s = _PATIENCE * timeout_s
        self._clock = clock
        self._counts = counts

    async def pages(
        self, nodes: Sequence[tuple[int, ua.NodeId]], first_ns: int, last_ns: int
    ) -> AsyncIterator[list[tuple[int, Kept]]]:
        """Yield what is kept of nodes, each with the number of its tag, from one time to another, a request at a time.

        Raises UaError, DecodeError or TimeoutError if the server cannot or does not answer, OSError if it is gone.
        """
        details = self._details(first_ns, last_ns)
        left = dict.fromkeys(nodes, self._options.values)
        asked, alone = [(node, b"") for node in nodes], list[tuple[int, ua.NodeId]]()
        while asked:
            found = await in_batches(lambda part: self._page(details, part), asked, len(asked))
            answers = list(zip([node for node, _ in asked], found, strict=True))
            for node, kept in answers:
                left[node] -= max(1, sum(map(len, kept.batches)))  # so that a server cannot go on for ever
            if len(asked) > 1:
                alone += [node for node, kept in answers if kept.status == _NO_POINTS]
            yield [(node[0], kept) for node, kept in answers if len(asked) == 1 or kept.status != _NO_POINTS]
            full = [(node, kept.point) for node, kept in answers if left[node] <= 0]
            self._counts["history_cut"] += len(full)
            await self._release(details, [(node, point) for node, point in full if point])
            asked = [(node, kept.point) for node, kept in answers if kept.point and left[node] > 0]
            if not asked and alone:
                asked = [(alone.pop(), b"")]

    def _details(self, first_ns: int, last_ns: int) -> ua.ReadRawModifiedDetails:
        """All between the times, a microsecond more at the end; backwards if the newest are wanted."""
        begin, end = _time(first_ns), _time(last_ns) + timedelta(microseconds=1)
        if self._options.order == "newest":
            begin, end = end, begin
        details = ua.ReadRawModifiedDetails(
            StartTime=begin, EndTime=end, NumValuesPerNode=ua.Counter(self._options.values)
        )
        details.IsReadModified = details.ReturnBounds = False
        return details

    async def _page(
        self,
        details: ua.ReadRawModifiedDetails,
        asked: Sequence[tuple[tuple[int, ua.NodeId], bytes]],
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
        return history_response(checked(body), [number for (number, _), _ in asked], self._clock.now_ns())

    async def _release(
        self, details: ua.ReadRawModifiedDetails, asked: Sequence[tuple[tuple[int, ua.NodeId], bytes]]
    ) -> None:
        """Give back continuation points that are not needed any more; a server has few."""
        if asked:
            await self._page(details, asked, release=True)


def _time(ns: int) -> datetime:
    return _1970 + timedelta(microseconds=ns // 1000)
