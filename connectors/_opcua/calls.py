"""Questions about many nodes, in as many requests as the server's operation limits ask for.

Limits: OPC 10000-5, 6.3.11 (OperationLimits); a server that states none, or refuses less than it states, is asked for
half as much. Continuation points are few on a server, so they are followed to their end or released before anything
else is asked (OPC 10000-4, 7.9).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from asyncua import Client, ua

A = TypeVar("A")
B = TypeVar("B")

AT_ONCE: Final = 500
"""Nodes per request where the server names no limit, or a higher one: our choice."""

PER_READ: Final = ua.NodeId(ua.Int32(11705))
PER_MONITORED_ITEMS: Final = ua.NodeId(ua.Int32(11714))
PER_HISTORY_READ: Final = ua.NodeId(ua.Int32(12165))
_PER_BROWSE: Final = ua.NodeId(ua.Int32(11710))
_PER_TRANSLATE: Final = ua.NodeId(ua.Int32(11712))
_HIERARCHICAL: Final = ua.NodeId(ua.Int32(ua.ObjectIds.HierarchicalReferences))
_WHOLE: Final = 0xFFFF_FFFF
"""RemainingPathIndex of a path that was followed to its end (OPC 10000-4, 5.9.4)."""
_NO_CONTINUATION_POINTS: Final = 0x804B_0000
TOO_LARGE: Final = {
    0x8008_0000,  # BadEncodingLimitsExceeded
    0x8010_0000,  # BadTooManyOperations
    0x80B8_0000,  # BadRequestTooLarge
    0x80B9_0000,  # BadResponseTooLarge
}


async def in_batches(call: Callable[[Sequence[A]], Awaitable[Sequence[B]]], asked: Sequence[A], size: int) -> list[B]:
    """Answers to all, in order. Raises UaError if the server refuses a single one, or answers another number."""
    answers: list[B] = []
    while len(answers) < len(asked):
        batch = asked[len(answers) : len(answers) + size]
        try:
            answered = await call(batch)
        except ua.UaStatusCodeError as error:
            if error.code not in TOO_LARGE or len(batch) == 1:
                raise
            size = len(batch) // 2
            continue
        if len(answered) != len(batch):
            raise ua.UaError(f"{len(answered)} answers to {len(batch)} questions")
        answers += answered
    return answers


class Calls:
    """Asks one server. `requests` counts what it was asked; `most` are the references that browsing takes in all."""

    def __init__(self, client: Client, per_read: int, per_browse: int, per_translate: int, *, most: int = 0) -> None:
        self._client = client
        self._per_read = per_read
        self._per_browse = per_browse
        self._per_translate = per_translate
        self._left = most
        self.requests = 0

    @property
    def exhausted(self) -> bool:
        """Whether browsing has come to its end because it took too much."""
        return self._left <= 0

    async def read(
        self, nodes: Sequence[ua.NodeId], attribute: ua.AttributeIds = ua.AttributeIds.Value
    ) -> list[ua.DataValue]:
        """Return an attribute of each node, without timestamps; what cannot be read has a status that says so."""
        asked = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in nodes]
        return await in_batches(self._read, asked, self._per_read)

    async def translate(self, paths: Sequence[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Return where each browse path leads (TranslateBrowsePathsToNodeIds)."""
        return await in_batches(self._translate, paths, self._per_translate)

    async def browse(self, nodes: Sequence[ua.NodeId]) -> list[list[ua.ReferenceDescription]]:
        """Return the objects and variables below each node; none for one that cannot be browsed."""
        return await in_batches(self._browse, nodes, self._per_browse)

    async def above(self, nodes: Sequence[ua.NodeId], reference: ua.NodeId) -> list[list[ua.ReferenceDescription]]:
        """Return where references of a type come from to each node, as far as one answer tells it."""
        asked = [_inverse(node, reference) for node in nodes]
        return [list(result.References or ()) for result in await in_batches(self._ask, asked, self._per_browse)]

    async def _read(self, asked: Sequence[ua.ReadValueId]) -> Sequence[ua.DataValue]:
        self.requests += 1
        parameters = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn.Neither, NodesToRead=list(asked))
        return await self._client.uaclient.read(parameters)

    async def _translate(self, paths: Sequence[ua.BrowsePath]) -> Sequence[ua.BrowsePathResult]:
        self.requests += 1
        return await self._client.uaclient.translate_browsepaths_to_nodeids(list(paths))

    async def _browse(self, nodes: Sequence[ua.NodeId]) -> Sequence[list[ua.ReferenceDescription]]:
        """One request, and those for what it left over."""
        if self.exhausted:
            return [[] for _ in nodes]
        results = await self._ask([_below(node) for node in nodes])
        found = [list(result.References or ()) for result in results]
        self._left -= sum(map(len, found))
        await self._follow(found, results)
        for i, result in enumerate(results):
            if result.StatusCode.value == _NO_CONTINUATION_POINTS and len(nodes) > 1:
                (found[i],) = await self._browse([nodes[i]])
        return found

    async def _ask(self, asked: Sequence[ua.BrowseDescription]) -> Sequence[ua.BrowseResult]:
        self.requests += 1
        return await self._client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=list(asked)))

    async def _follow(self, found: list[list[ua.ReferenceDescription]], results: Sequence[ua.BrowseResult]) -> None:
        """Add what the server has left over, or release it once that is enough."""
        points = {i: result.ContinuationPoint for i, result in enumerate(results) if result.ContinuationPoint}
        while points:
            self.requests += 1
            more = await self._client.uaclient.browse_next(
                ua.BrowseNextParameters(
                    ReleaseContinuationPoints=self.exhausted, ContinuationPoints=list(points.values())
                )
            )
            if self.exhausted:
                return
            for i, result in zip(list(points), more, strict=True):
                found[i] += result.References or ()
                self._left -= max(1, len(result.References or ()))  # so that a server cannot go on for ever
                points[i] = result.ContinuationPoint
            points = {i: point for i, point in points.items() if point}


async def calls(client: Client, *, most: int = 0) -> Calls:
    """Ask a server what it takes at once; return how to ask it. `most` bounds the references of browsing."""
    limits = await values(client, [PER_READ, _PER_BROWSE, _PER_TRANSLATE])
    return Calls(client, *[_limit(value, AT_ONCE) for value in limits], most=most)


async def values(client: Client, nodes: Sequence[ua.NodeId]) -> list[Any]:
    """Return the values of a few nodes, None for one without. Raises UaError for another number of answers."""
    answers = await client.uaclient.read_attributes(list(nodes), ua.AttributeIds.Value)
    if len(answers) != len(nodes):
        raise ua.UaError(f"{len(answers)} answers to {len(nodes)} questions")
    return [answer.Value.Value if answer.Value is not None else None for answer in answers]


async def per_call(client: Client, limit: ua.NodeId, most: int) -> int:
    """Return one of the server's operation limits; `most` where it names none, or a higher one."""
    (stated,) = await values(client, [limit])
    return _limit(stated, most)


def path(start: ua.NodeId, names: Sequence[ua.QualifiedName]) -> ua.BrowsePath:
    """Return the question where these browse names lead, along references of any hierarchy."""
    elements = []
    for name in names:
        element = ua.RelativePathElement(ReferenceTypeId=_HIERARCHICAL, TargetName=name)
        element.IsInverse = False  # type: ignore[assignment]  # asyncua has a class for its annotations alone
        elements.append(element)
    return ua.BrowsePath(StartingNode=start, RelativePath=ua.RelativePath(Elements=elements))


def target(result: ua.BrowsePathResult, namespaces: Sequence[str]) -> ua.NodeId | None:
    """Return where a path leads, or None: nowhere, to another server, or to several nodes, of which none is right."""
    if not result.StatusCode.is_good():
        return None
    found = {local(end.TargetId, namespaces) for end in result.Targets or () if end.RemainingPathIndex == _WHOLE}
    return found.pop() if len(found) == 1 else None


def local(node: ua.NodeId, namespaces: Sequence[str]) -> ua.NodeId | None:
    """Return a node that a server names (an ExpandedNodeId) as one of its own, or None if it is not."""
    index = node.NamespaceIndex
    if isinstance(node, ua.ExpandedNodeId):
        if node.ServerIndex or (node.NamespaceUri and node.NamespaceUri not in namespaces):
            return None
        if node.NamespaceUri:
            index = ua.Int16(namespaces.index(node.NamespaceUri))
    return ua.NodeId(node.Identifier, index)


def _below(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=_HIERARCHICAL,
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(ua.NodeClass.Object | ua.NodeClass.Variable),
        ResultMask=ua.UInt32(ua.BrowseResultMask.All),
    )


def _inverse(node: ua.NodeId, reference: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Inverse,
        ReferenceTypeId=reference,
        IncludeSubtypes=True,
        ResultMask=ua.UInt32(ua.BrowseResultMask.None_),
    )


def _limit(stated: Any, most: int) -> int:
    return min(stated, most) if isinstance(stated, int) and stated > 0 else most
