"""The sessions of the edge node: one connection after another, the primary host, and commands. A Sink.

    connect (NDEATH as the will) -> subscribe -> [primary host online] -> births -> data -> NDEATH, disconnect

The standard wants data with QoS 0, which nobody confirms. A broker answers the packets of a connection in order, so a
ping behind the data is the confirmation: only then is a record written. What a session that breaks may have lost comes
again from the journal and is history by then, see node.py.
"""

import asyncio
import itertools
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.bus.allowance import Allowance
from gateway.bus.sparkplug import host
from gateway.bus.sparkplug.host import COMMAND_S, Command, PrimaryHost
from gateway.bus.sparkplug.node import EdgeNode, death
from gateway.contracts import Clock
from gateway.model import Record
from gateway.mqtt import PLAIN, Access, Message, Mqtt, connect
from gateway.mqtt.sparkplug import names
from gateway.mqtt.sparkplug.schema import Datatype

_LOOK_S: Final = 1.0
"""How often it is looked whether a device is gone that said nothing of it."""
_REBIRTH_S: Final = 1.0
"""Births that are asked for within this after the last are one."""
_HOST_WAIT_S: Final = 10.0
"""How long to wait for the primary host at one broker of several."""
_DESCRIBE_S: Final = 10.0
"""How long between births for no other reason than that devices told units or ranges: they tell them bit by bit."""
_FAREWELL_S: Final = 2.0
_COMMANDS_MAX: Final = 100
"""Commands that wait for their turn; more are dropped, counted."""

Write = Callable[[str, Any, str, int], Awaitable[None]]
"""Ask for a write: path of the tag, value, id, and when it expires in nanoseconds since 1970 UTC."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """`urls` are tried in turn; without a primary host anybody may listen; `write` is None where nobody may command."""

    urls: Sequence[str]
    client_id: str
    primary_host: str = ""
    write: Write | None = None
    access: Access = PLAIN


class BirthNumber:
    """bdSeq: how often the node has connected, 0 to 255, kept in a file so that a restart goes on counting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = self._stored()

    def next(self) -> int:
        """Return the number of the connection that is about to be made."""
        self._last = (self._last + 1) % 256
        try:
            self._path.write_text(json.dumps({"bdSeq": self._last}), encoding="utf-8")
        except OSError as error:
            log.warning("%s cannot be written, bdSeq begins anew at the next start: %s", self._path, error)
        return self._last

    def _stored(self) -> int:
        """The last number; -1 if none is known."""
        try:
            return int(json.loads(self._path.read_bytes())["bdSeq"]) % 256
        except (OSError, ValueError, KeyError, TypeError):  # the first start, or a file that says nothing
            return -1


class Session:
    """`run` is the life of one session, `obey` that of its commands, `write` what the journal has for it."""

    def __init__(self, options: Options, node: EdgeNode, number: BirthNumber, clock: Clock) -> None:
        self._options = options
        self._urls = itertools.cycle(options.urls)
        self._node = node
        self._names = node.names
        self._number = number
        self._clock = clock
        self._mqtt: Mqtt | None = None
        self._up = asyncio.Event()
        self._host = PrimaryHost()
        self._host_came: asyncio.Future[None] | None = None
        self._host_left: asyncio.Future[None] | None = None
        self._born_s = 0.0
        self._described_s = -_DESCRIBE_S
        self._again: asyncio.TimerHandle | None = None
        self._commands: asyncio.Queue[Command] = asyncio.Queue(_COMMANDS_MAX)
        self._counts = Counter({"rebirths_asked": 0, "commands": 0, "commands_refused": 0, "commands_flooded": 0})
        self._allowance = Allowance("commands by Sparkplug")

    def counts(self) -> Mapping[str, int]:
        """Return what was said and asked so far, by name."""
        return {**self._node.counts, **self._counts}  # a Counter would leave out zeros

    async def run(self, up: Callable[[], None]) -> None:
        """Connect, wait for the primary host, give birth and stay. `up` is called when births are out.

        Raises OSError when the session has ended: connection lost, or primary host offline.
        """
        bdseq = 0

        def will() -> Message:
            nonlocal bdseq
            bdseq = self._number.next()
            return self._death(bdseq)

        options = self._options
        async with connect(next(self._urls), options.client_id, will, access=options.access) as mqtt:
            await self._subscribe(mqtt)
            await self._until_host(mqtt)
            self._mqtt = mqtt
            self._born_s = asyncio.get_running_loop().time()
            self._node.begin(bdseq, mqtt.send)
            self._up.set()
            up()
            try:
                await self._stay(mqtt)
            except asyncio.CancelledError:
                await self._farewell(mqtt, bdseq)
                raise
            finally:
                self._end()
            await self._farewell(mqtt, bdseq)
        raise ConnectionResetError(f"the primary host {self._options.primary_host} is offline")

    async def write(self, records: Sequence[Record]) -> None:
        """Say what the records say and wait until the broker has taken it; wait for a session if need be."""
        while self._mqtt is None:
            await self._up.wait()
        mqtt = self._mqtt
        self._node.publish(records)
        await mqtt.flush()

    async def obey(self, up: Callable[[], None]) -> None:
        """Have commands carried out, one after another, for ever."""
        write = self._options.write
        assert write is not None
        up()
        while True:
            command = await self._commands.get()
            meant = self._node.metric(command.device, name=command.name, alias=command.alias)
            if meant is None:
                self._refuse(self._names.topic("DCMD", command.device), "it names no metric of ours")
                continue
            tag, datatype = meant
            self._counts["commands"] += 1
            expires_ns = command.time_ms * 1_000_000 + round(COMMAND_S * 1e9)
            await write(tag.path, command.value(datatype), command.id, expires_ns)

    # --- one session ----------------------------------------------------------------------

    async def _subscribe(self, mqtt: Mqtt) -> None:
        loop = asyncio.get_running_loop()
        self._host = PrimaryHost()
        self._host_came, self._host_left = loop.create_future(), loop.create_future()
        topics = [self._names.topic("NCMD")]
        if self._options.write is not None:
            topics.append(self._names.topic("DCMD", "+"))
        if self._options.primary_host:
            topics.append(names.state(self._options.primary_host))
        for topic in topics:
            await mqtt.subscribe(topic, self._hear)

    async def _until_host(self, mqtt: Mqtt) -> None:
        if not self._options.primary_host:
            return
        assert self._host_came is not None
        try:
            async with asyncio.timeout(_HOST_WAIT_S if len(self._options.urls) > 1 else None):
                await mqtt.until(self._host_came)
        except TimeoutError:
            raise TimeoutError(f"the primary host {self._options.primary_host} is not online at this broker") from None

    async def _stay(self, mqtt: Mqtt) -> None:
        """Return when the primary host has left. Raises ConnectionError when the connection is lost."""
        assert self._host_left is not None
        while not self._host_left.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await mqtt.until(self._host_left)
            self._node.bury()
            now_s = asyncio.get_running_loop().time()
            if now_s >= self._described_s + _DESCRIBE_S and self._node.describe():
                self._described_s = now_s

    async def _farewell(self, mqtt: Mqtt, bdseq: int) -> None:
        """Say that the node is gone, for the broker does so only of those who break off."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_FAREWELL_S):
                await mqtt.publish([self._death(bdseq)])

    def _end(self) -> None:
        self._mqtt = None
        self._up.clear()
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _death(self, bdseq: int) -> Message:
        return Message(self._names.topic("NDEATH"), death(bdseq, self._clock.now_ns() // 1_000_000))

    # --- what is heard --------------------------------------------------------------------

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic.startswith(f"{names.NAMESPACE}/STATE/"):
            self._hear_host(payload)
        elif not self._allowance.take(asyncio.get_running_loop().time()):
            self._counts["commands_flooded"] += 1
        elif retained:
            self._refuse(topic, "it is retained")
        else:
            try:
                for command in host.commands(self._names.device(topic), payload):
                    self._command(topic, command)
            except ValueError as error:
                self._refuse(topic, str(error))

    def _hear_host(self, payload: bytes) -> None:
        self._host.hear(payload)
        came, left = self._host_came, self._host_left
        assert came is not None
        assert left is not None
        if self._host.online and not came.done():
            came.set_result(None)
        if not self._host.online and came.done() and not left.done():
            left.set_result(None)

    def _command(self, topic: str, command: Command) -> None:
        if command.name == names.REBIRTH and not command.device:
            if command.value(Datatype.BOOLEAN) is True:
                self._rebirth()
        elif self._options.write is None:
            self._refuse(topic, "writes are off: sparkplug.writes is not true")
        elif not command.time_ms:
            self._refuse(topic, "it does not say when it was sent")
        elif self._commands.full():
            self._refuse(topic, f"{_COMMANDS_MAX} others wait")
        else:
            self._commands.put_nowait(command)

    def _refuse(self, topic: str, why: str) -> None:
        self._counts["commands_refused"] += 1
        log.warning("a command on %s was refused: %s", ascii(topic), why)

    def _rebirth(self) -> None:
        """Give birth again: at once, but not more often than hosts need when all of them ask."""
        self._counts["rebirths_asked"] += 1
        if self._mqtt is None or self._again is not None:
            return
        loop = asyncio.get_running_loop()
        self._again = loop.call_at(self._born_s + _REBIRTH_S, self._born_again)
        if loop.time() >= self._born_s + _REBIRTH_S:
            self._again.cancel()
            self._born_again()

    def _born_again(self) -> None:
        self._again = None
        self._born_s = asyncio.get_running_loop().time()
        with suppress(ConnectionError):  # then the next session gives birth anyway
            self._node.birth()
