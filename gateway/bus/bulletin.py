"""The ledger on the bus: each minute, once it is over, what came and what did not; retained, so that it is the latest.

A broker that is away gets the minute in which it is back; the others are in the API.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.contracts import Clock
from gateway.mqtt import Message
from gateway.payload import VERSION, timestamp

_MINUTE_NS: Final = 60_000_000_000
_SETTLE_S: Final = 5.0
"""After the end of a minute: what came at its end is delivered by then, and the ledger has written it down."""

Rows = Callable[[int, int], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""The rows of a minute, [start, end), by device."""


async def publish_minutes(
    rows: Rows, publisher: Publisher, topics: Topics, clock: Clock, up: Callable[[], None]
) -> None:
    """Publish until cancelled. Raises OSError if the ledger cannot be read or the broker is lost meanwhile."""
    up()
    while True:
        minute = clock.now_ns() // _MINUTE_NS * _MINUTE_NS
        await asyncio.sleep((minute + _MINUTE_NS - clock.now_ns()) / 1e9 + _SETTLE_S)
        found = await rows(minute, minute + _MINUTE_NS)
        when = timestamp(minute)
        body = {"v": VERSION, "gateway": topics.gateway, "minute": when, "devices": found}
        await publisher.publish([Message(topics.ledger, orjson.dumps(body), retain=True)])
