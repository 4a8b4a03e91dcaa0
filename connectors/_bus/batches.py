"""Batch messages of another gateway: columns in, columns out, each taken once.

What is missing is asked for, and comes again from the journal of the other gateway (gateway/bus/replay.py) as late
readings. Up to where messages have been taken is learned when they are in our journal; after a crash the journal may
have more, so its newest records are compared with what comes again.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import orjson

from connectors._bus.columns import Columns, essence, newest_us, retained
from connectors._bus.listening import listen
from connectors._bus.numbering import Numbering, Turn, stretches
from connectors._bus.options import DeviceOptions
from connectors._bus.source import Books, Heard, without_value
from gateway.contracts import Clock, Device, Emit
from gateway.model import Quality
from gateway.mqtt import Message as Request
from gateway.mqtt import Mqtt
from gateway.payload import Message, parse

_PAYLOAD_BYTES_MAX: Final = 64 << 20
_PLANS_MAX: Final = 1000
_ANSWER_S: Final = 5.0
_ANSWER_S_MAX: Final = 60.0
"""How long a replay may take before it is asked for again; longer each time."""
_QUIET_S: Final = 0.5
"""The broker has told all retained messages when it told none for so long."""
_DOUBT_NS: Final = 60_000_000_000
"""So long before the last message that is known to be stored, for clocks are set, our journal is looked into."""
_SHOWN: Final = 3


class Batches:
    """The tags of a device that are columns of another gateway's batch messages (a Source)."""

    def __init__(self, device: Device, clock: Clock, books: Books, learned: dict[str, Any]) -> None:
        options: DeviceOptions = device.options
        self._device, self._options, self._clock, self._books = device, options, clock, books
        tags = zip(device.tags, device.numbers.tolist(), device.tag_options, strict=True)
        self._wanted = {keys.name or tag.name: (number, keys.type) for tag, number, keys in tags if not keys.topic}
        self._asset = "/".join(options.below_root)
        self._topic = f"{options.batch}/_batch"
        self._gateways = f"{options.root}/{'/'.join(options.below_root[:2])}/_gateway"
        self._reply = secrets.token_hex(8)
        self.filters = [self._topic, f"{self._gateways}/+/replayed/{self._reply}/#", f"{self._gateways}/+/status"]
        self._learned = learned
        known = device.learned.get("batches")
        known = learned["batches"] = dict(known) if isinstance(known, Mapping) else {}
        self._numbering = Numbering.recalled(known, books.counts)
        self._gateway = str(known.get("gateway", ""))
        self._stored_ns = known.get("at_ns")
        self._online: dict[str, bool] = {}
        self._had: set[int] = set()
        self._columns: dict[tuple[str, ...], Columns] = {}
        self._silent: set[str] = set()
        self._gap, self._answered, self._moved, self._heard, self._back = (asyncio.Event() for _ in range(5))

    async def begin(self) -> None:
        if type(self._stored_ns) is int:
            records = await self._device.past.received(self._stored_ns - _DOUBT_NS)
            self._had = {essence(record.batches) for record in records}
            self._stored_ns = None
        self._online.clear()
        self._silent = set(self._wanted)
        if self._numbering.missing:
            self._gap.set()

    def refused(self, topic: str, emit: Emit) -> None:
        self._books.remarks.say(topic, "the broker refuses the subscription: let this user read it, in the broker")
        if topic == self._topic:
            self._silent.clear()
            self._emit_bad(self._wanted, Quality.BAD_USER_ACCESS_DENIED, emit)

    def hear(self, messages: Sequence[Heard], emit: Emit) -> None:
        for message in messages:
            if message.topic == self._topic:
                self._batch(message, emit)
            elif message.topic.startswith(f"{self._gateways}/"):
                gateway, _, what = message.topic.removeprefix(f"{self._gateways}/").partition("/")
                if what == f"replayed/{self._reply}/{self._asset}/_batch":
                    self._batch(message, emit)
                elif what == f"replayed/{self._reply}":
                    self._replayed(_fields(message.payload))
                elif what == "status":
                    self._status(gateway, _fields(message.payload).get("online"), emit)

    async def tend(self, mqtt: Mqtt, emit: Emit) -> None:
        """Ask for what is missing, keep in mind what is stored, and look after what is silent."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask(mqtt))
            tasks.create_task(self._keep())
            tasks.create_task(self._hear_in_time())
            while True:
                await asyncio.sleep(self._options.timeout)
                await self._look_up(emit)
                self._back.clear()
                await self._back.wait()

    # --- messages -------------------------------------------------------------------------

    def _batch(self, heard: Heard, emit: Emit) -> None:
        counts = self._books.counts
        if heard.retained:  # it is of any age, and the journal over there has it
            counts["retained"] += 1
            return
        try:
            if len(heard.payload) > _PAYLOAD_BYTES_MAX:
                raise ValueError(f"it has {len(heard.payload)} bytes, and the most is {_PAYLOAD_BYTES_MAX}")
            message = parse(heard.payload)
            turn = self._turn(message)
            batches = self._columns_of(message).batches(message, late=turn is Turn.MISSING)
        except ValueError as error:
            counts["malformed"] += 1
            self._books.remarks.say(self._topic, f"a message is not used: {error}")
            return
        if turn is Turn.REPEATED or (self._had and essence(batches) in self._had):
            counts["repeated"] += 1
        else:
            counts["replayed"] += turn is Turn.MISSING
            emit(*batches)
        self._heard.set()
        self._moved.set()
        if self._numbering.missing:
            self._gap.set()
        else:
            self._had.clear()

    def _turn(self, message: Message) -> Turn:
        if message.gateway != self._gateway:
            if self._gateway:
                self._books.remarks.say(self._topic, f"is of {message.gateway} now, and was of {self._gateway}")
            self._gateway, self._numbering = message.gateway, Numbering(self._books.counts)
        turn = self._numbering.take(message.boot, message.sequence, newest_us(message))
        if turn is Turn.NEXT:
            self._silent.difference_update(self._columns_of(message).names)
        return turn

    def _columns_of(self, message: Message) -> Columns:
        names = tuple(message.tags)
        if names not in self._columns:
            if len(self._columns) >= _PLANS_MAX:
                self._columns.clear()
            self._columns[names] = Columns(names, self._wanted)
        return self._columns[names]

    def _replayed(self, said: Mapping[str, Any]) -> None:
        """Take the end of a replay: what the other gateway has not any more is lost."""
        before = self._books.counts["lost_messages"]
        for stretch in stretches(said.get("missing")):
            self._numbering.settle(*stretch)
        if lost := self._books.counts["lost_messages"] - before:
            what = f"{lost} messages are lost, its journal has them not any more: raise its journal.retention"
            self._books.remarks.say(f"gateway {self._gateway}", what)
        if error := said.get("error"):
            self._books.remarks.say(f"gateway {self._gateway}", f"it does not send again what was missed: {error}")
        self._answered.set()
        self._moved.set()

    def _status(self, gateway: str, online: Any, emit: Emit) -> None:
        """Take what a gateway says of itself, or its last will."""
        before = self._online.get(gateway)
        if not isinstance(online, bool) or online is before:
            return
        self._online[gateway] = online
        if gateway != self._gateway:
            return
        if not online:
            self._books.remarks.say(f"gateway {gateway}", "it is offline: start it, or look at its network")
            self._silent = set(self._wanted)
            self._emit_bad(self._wanted, Quality.BAD_NO_COMMUNICATION, emit)
        elif before is False:
            self._books.remarks.over(f"gateway {gateway}")
            self._back.set()

    # --- without a message ----------------------------------------------------------------

    async def _ask(self, mqtt: Mqtt) -> None:
        """Ask for the oldest messages that are missing, again and again until none are."""
        patience_s = _ANSWER_S
        while True:
            await self._gap.wait()
            if not self._numbering.missing:
                self._gap.clear()
                continue
            stretch = list(self._numbering.missing[0])
            self._answered.clear()
            request = {"id": "r", "reply": self._reply, "asset": self._asset, "first": stretch[0], "last": stretch[1]}
            await mqtt.publish([Request(f"{self._gateways}/{self._gateway}/replay", orjson.dumps(request))])
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._answered.wait()
            if self._numbering.missing[:1] == [stretch]:
                patience_s = min(2 * patience_s, _ANSWER_S_MAX)
                await asyncio.sleep(_ANSWER_S)
            else:
                patience_s = _ANSWER_S

    async def _keep(self) -> None:
        """Learn up to where messages are in our journal."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            state = {"gateway": self._gateway, "at_ns": self._clock.now_ns(), **self._numbering.state}
            await self._device.stored()
            self._learned["batches"] = state

    async def _hear_in_time(self) -> None:
        """Raise TimeoutError when no message came within `stale`."""
        stale_s = self._options.stale
        while stale_s is not None:
            self._heard.clear()
            try:
                async with asyncio.timeout(stale_s):
                    await self._heard.wait()
            except TimeoutError:
                raise TimeoutError(f"no message on {self._topic} within {stale_s:g} s") from None

    async def _look_up(self, emit: Emit) -> None:
        """Tell of tags that did not change since we listen what their retained topics say of them.

        It is how things are if their gateway is online, and how they have been if that is not known.
        """
        online = self._online.get(self._gateway)
        if not self._silent or online is False:
            return
        heard: Sequence[Heard] = ()
        with suppress(OSError):
            heard = await listen(self._device.url, f"{self._options.batch}/#", quiet_s=_QUIET_S, longest_s=_ANSWER_S)
        prefix, silent = f"{self._options.batch}/", self._silent  # fewer than before: we have listened meanwhile
        said = {m.topic.removeprefix(prefix): m.payload for m in heard if m.retained and m.topic.startswith(prefix)}
        told, batches = retained(
            {name: said[name] for name in sorted(silent & said.keys())}, self._wanted, fresh=bool(online)
        )
        silent -= told
        emit(*batches)
        if silent:
            names = sorted(silent)
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            what = f"no message has {', '.join(names[:_SHOWN])}{more}: see what gateway discover hears"
            self._books.remarks.say(self._topic, what)
            self._emit_bad(names, Quality.BAD_WAITING_FOR_INITIAL_DATA, emit)

    def _emit_bad(self, names: Iterable[str], quality: Quality, emit: Emit) -> None:
        tags = np.array([self._wanted[name][0] for name in names], np.uint32)
        emit(without_value(tags, self._clock.now_ns(), quality))


def _fields(payload: bytes) -> Mapping[str, Any]:
    """What a message of JSON says by name; nothing if it is none."""
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
