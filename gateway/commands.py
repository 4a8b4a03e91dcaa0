"""Writes by MQTT: a command on `<tag>/_set` becomes a request at the door of all writes, and its result an answer.

    {"id": "order-4711-speed", "value": 120, "expires": "2026-01-05T06:00:10Z", "reply": "mes"}

Who may command is decided by the broker's ACL, for MQTT says no names; what may be commanded, by gateway/writes.py.
What a broker kept for us is never carried out: neither what is retained nor what says no time of expiry. The session is
clean and the subscription has QoS 0, so nothing waits at the broker while we are away.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from gateway.bus.allowance import BURST, Allowance
from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.contracts import Clock
from gateway.model import Catalog, Quality
from gateway.mqtt import Message, properties
from gateway.mqtt.properties import Properties
from gateway.payload import written_message
from gateway.writes import Request, Result, Writes

WHO: Final = "MQTT"
"""The name by which commands are known in gateway/writes.py; no token of the API can have it, for it has capitals."""
_BYTES_MAX: Final = 16_384
_REPLY: Final = re.compile(r"[a-z0-9_-]{1,64}")
_KEYS: Final = frozenset(("id", "value", "expires", "reply"))


@dataclass(frozen=True, slots=True)
class Command:
    """A request, why it is refused before anybody looks at it, if it is, and where its result is to go."""

    request: Request
    refused: str
    reply: str
    correlation: bytes


class Commands:
    """Takes commands on the publisher's connection. `counts` has commands, refused (here), flooded and unanswered."""

    def __init__(self, publisher: Publisher, topics: Topics, catalog: Catalog, writes: Writes, clock: Clock) -> None:
        self.counts = {"commands": 0, "refused": 0, "flooded": 0, "unanswered": 0}
        self._publisher = publisher
        self._topics = topics
        self._paths = {topics.command(catalog[n].path): catalog[n].path for n in catalog if catalog[n].writable}
        self._writes = writes
        self._clock = clock
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(BURST)
        self._allowance = Allowance("commands by MQTT")
        publisher.listen(list(self._paths), self.receive, qos=0)

    async def run(self, up: Callable[[], None]) -> None:
        """Carry commands out until cancelled, those of different tags side by side."""
        up()
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._carry_out(await self._waiting.get()))

    def receive(self, topic: str, payload: bytes, retained: bool, qos: int, told: Properties) -> None:
        """Take a command. Too many at a time are counted, for a line of the log for each would fill the disk."""
        self.counts["commands"] += 1
        if self._waiting.full() or not self._allowance.take(asyncio.get_running_loop().time()):
            self.counts["flooded"] += 1
            return
        command = self._command(self._paths[topic], payload, told)
        if retained:
            command = replace(command, refused="it is retained, so nobody knows when it was meant")
        self._waiting.put_nowait(command)

    def _command(self, path: str, payload: bytes, told: Properties) -> Command:
        """Read a command; what cannot be read is one that is refused."""
        fields, refused = _fields(payload)
        wish = Request(fields.get("id", ""), path, fields.get("value"), WHO)
        reply, correlation = self._answer_to(fields.get("reply"), told)
        try:
            wish = replace(wish, expires_ns=_expiry_ns(fields.get("expires"), told, self._clock.now_ns()))
        except ValueError as error:
            refused = refused or str(error)
        return Command(wish, refused, reply, correlation)

    def _answer_to(self, name: Any, told: Properties) -> tuple[str, bytes]:
        """Topic and correlation data of the answer; no topic of the plant's, or an answer could be a command."""
        wanted, correlation = told.get(properties.RESPONSE_TOPIC), told.get(properties.CORRELATION_DATA)
        if isinstance(wanted, str) and not (set(wanted) & set("+#\0") or wanted.endswith("/_set")):
            return wanted, correlation if isinstance(correlation, bytes) else b""
        if isinstance(name, str) and _REPLY.fullmatch(name):
            return self._topics.written(name), b""
        return "", b""

    async def _carry_out(self, command: Command) -> None:
        if command.refused:
            self.counts["refused"] += 1
            result = self._writes.refuse(command.request, Quality.BAD_INVALID_ARGUMENT, command.refused)
        else:
            result = await self._writes.write(command.request)
        if not command.reply:
            return
        try:
            await self._publisher.publish([_answer(command, result)])
        except ConnectionError:  # it was carried out; who asks again by the same id gets the same answer
            self.counts["unanswered"] += 1


def _fields(payload: bytes) -> tuple[dict[str, Any], str]:
    """The members of a command, and what is wrong with it."""
    if len(payload) > _BYTES_MAX:
        return {}, f"it has {len(payload)} bytes, more than {_BYTES_MAX}"
    try:
        fields = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return {}, f"it is no JSON: {error}"
    if not isinstance(fields, dict) or not isinstance(fields.get("id"), str) or "value" not in fields:
        return {}, "it is no object with id and value"
    if unknown := fields.keys() - _KEYS:
        return fields, f"{min(unknown)} is no key of a command: {', '.join(sorted(_KEYS))}"
    return fields, ""


def _expiry_ns(text: Any, told: Properties, now_ns: int) -> int:
    """When a command expires, by itself or by the broker, whichever is first. Raises ValueError if neither says."""
    ends: list[int] = []
    left_s = told.get(properties.MESSAGE_EXPIRY)
    if isinstance(left_s, int):
        ends.append(now_ns + left_s * 1_000_000_000)
    if text is not None:
        try:
            when = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            raise ValueError("expires is no time such as 2026-01-05T06:00:10Z") from None
        if when.tzinfo is None:
            raise ValueError("expires has no time zone: end it with Z")
        ends.append(round(when.timestamp() * 1e6) * 1000)
    if not ends:
        raise ValueError("it says no time of expiry: add expires, or a message expiry interval")
    return min(ends)


def _answer(command: Command, result: Result) -> Message:
    payload = written_message(
        id=result.id,
        tag=result.tag,
        status=result.status,
        code=result.code,
        detail=result.detail,
        value=result.value,
        read_back=result.read_back,
        time_ns=result.time_ns,
    )
    told: dict[int, int | str | bytes] = {properties.CONTENT_TYPE: "application/json"}
    if command.correlation:
        told[properties.CORRELATION_DATA] = command.correlation
    return Message(command.reply, payload, properties=properties.encode(told))
