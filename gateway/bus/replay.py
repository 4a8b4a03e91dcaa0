"""Replay: who has missed batch messages, by their sequence, asks for them and gets them from the journal.

    {"id": "r1", "reply": "erp", "asset": "packaging/line1/filler", "first": 1200, "last": 1234}

The answer goes to topics of the asker's own, `.../replayed/erp/<asset>/_batch`, byte for byte as it was published, and
not to the topic of the asset, where others would take it for new. When that was all, `.../replayed/erp` says so, and
which sequences are gone. One request at a time, at a moderate pace: what happens now goes first.
"""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import orjson

from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.model import Catalog, Record
from gateway.mqtt import Message
from gateway.payload import batch_message

_WAITING_MAX: Final = 16
_RECORDS_MAX: Final = 1000
"""Messages in answer to one request; who wants more asks again from `next`."""
_GROUP: Final = 50
_PAUSE_S: Final = 0.1
"""Between two groups: at most 500 messages per second."""
_REPLY: Final = re.compile(r"[a-z0-9_-]{1,64}")

Find = Callable[[int, int, int, int], Awaitable[Sequence[Record]]]
"""Finds records by asset, first and last sequence, and how many at most."""


@dataclass(frozen=True, slots=True)
class Request:
    """Sequences first to last, both included, of an asset."""

    id: str
    reply: str
    asset: str
    first: int
    last: int


class Replay:
    """Answers requests until cancelled. `counts` has requests, records and refused."""

    def __init__(self, publisher: Publisher, topics: Topics, catalog: Catalog, find: Find) -> None:
        self.counts = {"requests": 0, "records": 0, "refused": 0}
        self._publisher = publisher
        self._topics = topics
        self._catalog = catalog
        self._find = find
        self._waiting: deque[Request] = deque()
        self._asked = asyncio.Event()
        publisher.listen([topics.replay], lambda topic, payload, retained, *_: self.receive(topic, payload, retained))

    def receive(self, topic: str, payload: bytes, retained: bool) -> None:
        """Take a request. One that is retained is not meant for now, one that cannot be answered is only counted."""
        self.counts["requests"] += 1
        try:
            request = parse(payload)
        except ValueError:
            self.counts["refused"] += 1
            return
        if retained or len(self._waiting) >= _WAITING_MAX:
            self.counts["refused"] += 1
            return
        self._waiting.append(request)
        self._asked.set()

    async def run(self, up: Callable[[], None]) -> None:
        up()
        while True:
            await self._asked.wait()
            while self._waiting:
                try:
                    await self._answer(self._waiting[0])
                except ConnectionError:  # who asked will ask again when the broker is back
                    self.counts["refused"] += 1
                self._waiting.popleft()
            self._asked.clear()

    async def _answer(self, request: Request) -> None:
        topic = self._topics.replayed(request.reply)
        number = self._number(request.asset)
        if number is None:
            await self._say(topic, request, error="there is no such asset")
            return
        last = min(request.last, request.first + _RECORDS_MAX - 1)
        found: list[int] = []
        for start in range(request.first, last + 1, _GROUP):
            records = await self._find(number, start, min(last, start + _GROUP - 1), _GROUP)
            await self._publisher.publish([self._message(topic, record) for record in records])
            found += [record.sequence for record in records]
            self.counts["records"] += len(records)
            await asyncio.sleep(_PAUSE_S if records else 0.0)
        following = last + 1 if last < request.last else None
        missing = _gaps(found, request.first, last)
        await self._say(topic, request, sent=len(found), missing=missing, next=following)

    def _message(self, topic: str, record: Record) -> Message:
        asset = self._catalog.assets[record.asset]
        return Message(f"{topic}/{asset}/_batch", batch_message(record, self._catalog, self._topics.gateway))

    async def _say(self, topic: str, request: Request, **answer: Any) -> None:
        body = {"id": request.id, "asset": request.asset, "first": request.first, "last": request.last, **answer}
        await self._publisher.publish([Message(topic, orjson.dumps(body))])

    def _number(self, asset: str) -> int | None:
        """The number of an asset, whose path may begin below the site."""
        for path in (asset, f"{self._topics.site}/{asset}"):
            if path in self._catalog.assets:
                return self._catalog.assets.index(path)
        return None


def parse(payload: bytes) -> Request:
    """Read a request. Raises ValueError if it is none."""
    try:
        fields = orjson.loads(payload)
        request = Request(*(fields[key] for key in ("id", "reply", "asset", "first", "last")))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"not a request for a replay: {error!r}") from error
    texts = (request.id, request.reply, request.asset)
    if not all(type(text) is str and len(text) <= 1024 for text in texts) or not _REPLY.fullmatch(request.reply):
        raise ValueError("not a request for a replay: id, reply and asset are texts, reply of a-z, 0-9, _ and -")
    if type(request.first) is not int or type(request.last) is not int or not 0 < request.first <= request.last < 2**63:
        raise ValueError("not a request for a replay: first and last are sequences, 1 or more, in this order")
    return request


def _gaps(found: Sequence[int], first: int, last: int) -> list[list[int]]:
    """The stretches [from, to], both included, of first to last that are not among the found, which are in order."""
    edges = [first - 1, *found, last + 1]
    return [[a + 1, b - 1] for a, b in pairwise(edges) if b - a > 1]
