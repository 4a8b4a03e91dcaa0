"""A line: one connection to one endpoint, shared by the units behind it.

Units take turns. In its turn a unit has as many requests on their way as it takes (depth.py), until it has its
answers or others have waited for one round. What is on its way, and what comes for it, is the business of flight.py.
An answer that came too late is known by its transaction; where there are none (RTU) the link is renewed, or a serial
line left alone for a while, so that it is never taken for the next answer.
Nothing here is a task: whoever asks waits for a future, and answers, timers and losses move things on.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from connectors._modbus.endpoint import Endpoint
from connectors._modbus.flight import Flight
from connectors._modbus.frames import Framing, Mbap, Rtu
from connectors._modbus.link import Link, Lost, Received, open_link
from connectors._modbus.pdu import SILENT, Answer, Request
from connectors._modbus.unit import Exchange, Unit
from gateway.contracts import Clock

_SILENCES_MAX: Final = 3
"""After so many requests without an answer, whoever they were for, the link itself is in doubt."""
_PROBE_S: Final = 0.1
"""A unit that was silent is given so much, and four times what an answer usually takes: others wait meanwhile."""

Open = Callable[[Endpoint, ssl.SSLContext | None, Received, Lost], Awaitable[Link]]


class Line:
    """One per endpoint. `open_` opens its link."""

    def __init__(
        self, endpoint: Endpoint, clock: Clock, tls: ssl.SSLContext | None = None, open_: Open = open_link
    ) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._framing: Framing = Rtu() if endpoint.scheme == "modbus+rtu" else Mbap()
        self._open = partial(open_, endpoint, tls)
        self._lossy = endpoint.serial is not None or endpoint.scheme == "modbus+udp"
        self._opening = asyncio.Lock()
        self._link: Link | None = None
        self._users = 0
        self._queue: deque[Exchange] = deque()
        self._turn: Exchange | None = None
        self._turn_began, self._turn_sent = 0.0, 0
        self._flight = Flight(self._framing, lossy=self._lossy)
        self._silences = 0
        self._grace_s = self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pace: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        return self._link is not None

    @asynccontextmanager
    async def joined(self, timeout_s: float) -> AsyncIterator[None]:
        """Use the line; the first opens its link, the last closes it. Raises OSError, TimeoutError."""
        self._users += 1
        try:
            await self._opened(timeout_s)
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._fail("not connected any more")

    async def ask(self, unit: Unit, requests: Sequence[Request], *, first: bool = False) -> list[Answer | None]:
        """Return an answer to each request; None after one that got none (SILENT, or the gateway's in its place).

        `first` lets it go before what others wait for. Raises OSError when the link is lost or nobody has joined.
        """
        if not self._users:
            raise ConnectionError("not connected")
        if not requests:
            return []
        exchange = Exchange(unit, requests, retries=1 if self._lossy and not unit.silent else 0)
        while True:
            await self._opened(unit.timeout_s)
            (self._queue.appendleft if first else self._queue.append)(exchange)
            self._go_on()
            try:
                complete = await exchange.done
            except asyncio.CancelledError:
                self._withdraw(exchange)
                raise
            if complete:
                return exchange.answers
            exchange.done = asyncio.get_running_loop().create_future()

    # --- the link -------------------------------------------------------------------------

    async def _opened(self, timeout_s: float) -> None:
        async with self._opening:
            if self._link is not None:
                return
            try:
                async with asyncio.timeout(timeout_s):
                    self._link = await self._open(self._received, self._link_lost)
            except TimeoutError:
                raise TimeoutError(f"{self.endpoint} did not accept a connection within {timeout_s:g} s") from None
            self._silences = 0

    def _close(self) -> None:
        for timer in (self._timer, self._pace):
            if timer is not None:
                timer.cancel()
        self._timer = self._pace = None
        link, self._link = self._link, None
        self._flight.forget()
        if link is not None:
            link.close()

    def _link_lost(self, error: Exception) -> None:
        if self._turn is not None and len(self._flight) > 1 and not self._turn.unit.depth.settled:
            self._turn.unit.depth.lost(self._turn.depth)
        self._fail(str(error))

    def _fail(self, what: str) -> None:
        self._close()
        for exchange in self._everybody():
            exchange.fail(ConnectionError(what))

    def _renew(self) -> None:
        """Give up the link, but not what is asked through it."""
        self._close()
        for exchange in self._everybody():
            exchange.end(complete=False)

    def _everybody(self) -> list[Exchange]:
        everybody = [*([self._turn] if self._turn else []), *self._queue]
        self._turn = None
        self._queue.clear()
        return everybody

    # --- turns ----------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Do what can be done now: send more, end a turn, begin the next."""
        now = asyncio.get_running_loop().time()
        turn = self._turn
        if turn is not None and not self._flight and (self._queue or not turn.todo or self._free(turn) > now):
            self._end_turn(turn, now)
            turn = None
        if turn is None:
            turn = self._turn = self._next(now)
            self._turn_began, self._turn_sent = now, 0
        elif self._queue:
            return  # others have waited for one round
        if turn is not None:
            self._send(turn, now)

    def _end_turn(self, turn: Exchange, now: float) -> None:
        self._turn = None
        if self._turn_sent and not turn.busy:
            turn.unit.took(turn.depth, self._turn_sent, now - self._turn_began)
        if turn.todo:
            self._queue.append(turn)
            return
        if turn.lost_at:
            turn.unit.depth.lost(turn.lost_at)
        turn.end(complete=True)

    def _next(self, now: float) -> Exchange | None:
        """The first in the queue that may be asked now; if there is none, come back when one may."""
        if not self._queue:
            return None
        at = [max(self._free(exchange), now) for exchange in self._queue]
        first = at.index(min(at))
        if at[first] > now:
            if self._pace is not None:
                self._pace.cancel()
            self._pace = asyncio.get_running_loop().call_at(at[first], self._go_on)
            return None
        exchange = self._queue[first]
        del self._queue[first]
        return exchange

    def _free(self, exchange: Exchange) -> float:
        return max(exchange.unit.free_at, self._free_at)

    def _send(self, turn: Exchange, now: float) -> None:
        assert self._link is not None
        unit, waiting = turn.unit, len(self._flight)
        depth = 1 if self._lossy or unit.paced or not self._framing.numbered else turn.depth
        n = min(len(turn.todo), depth - waiting)
        if n <= 0 or waiting > depth // 2 or self._free(turn) > now:  # several at once cost one write
            return
        frames = self._flight.send(unit, turn.requests, [turn.todo.popleft() for _ in range(n)], now)
        unit.sent(n, now)
        self._turn_sent += n
        if not self._framing.numbered:
            self._link.forget()
        self._link.send(frames)
        self._look_at(now + self._patience_s(unit))

    def _withdraw(self, exchange: Exchange) -> None:
        """Nobody waits for it any more."""
        if exchange in self._queue:
            self._queue.remove(exchange)
        elif exchange is self._turn:
            self._turn = None
            self._abandon(exchange.unit)

    # --- answers --------------------------------------------------------------------------

    def _received(self, stream: bytes) -> int:
        """Take what has come; return how many bytes that were. Raises ConnectionError for what cannot be a frame."""
        answers, used = self._flight.arrived(stream, self._clock.now_ns())
        if answers:
            assert self._turn is not None
            for number, answer in answers:
                self._turn.take(number, answer)
            self._silences, self._grace_s = 0, 0.0
        if self._flight and self._link is not None:
            self._link.hurry()
        if used:
            if self.endpoint.serial is not None:
                now = asyncio.get_running_loop().time()
                self._free_at = max(self._free_at, now + self.endpoint.serial.gap_s)
            self._go_on()
        return used

    # --- silence --------------------------------------------------------------------------

    def _patience_s(self, unit: Unit) -> float:
        """How long to wait for an answer: a unit that was silent before must not cost the others much."""
        on_its_way = self.endpoint.serial.frame_s if self.endpoint.serial else 0.0
        if unit.silent and self._users > 1:
            return min(unit.timeout_s, _PROBE_S + 4 * unit.answer_s) + on_its_way
        return unit.timeout_s + on_its_way + self._grace_s

    def _look_at(self, time: float) -> None:
        """Look then, or before; most timers find that the answer has come, and a later request is waited for."""
        if self._timer is None or self._timer.when() > time:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(time, self._look)

    def _look(self) -> None:
        """See whether the oldest request has waited too long."""
        self._timer = None
        if self._turn is None or not self._flight:
            return
        at = self._flight.oldest + self._patience_s(self._turn.unit)
        if at > asyncio.get_running_loop().time():
            self._look_at(at)
        else:
            self._silence(self._turn)

    def _silence(self, turn: Exchange) -> None:
        unit = turn.unit
        unit.counts["timeouts"] += 1
        self._turn_sent = 0  # it says nothing about the usual time of an answer
        unanswered = self._flight.numbers
        if turn.depth > 1:
            turn.depth, turn.lost_at = 1, turn.depth
            turn.again(unanswered)
        elif turn.retries:
            turn.retries -= 1
            turn.again(unanswered)
        else:
            turn.answers[unanswered[0]] = Answer(b"", SILENT, self._clock.now_ns())
            turn.todo.clear()
            turn.lost_at = 0
            turn.end(complete=True)
            unit.silent = True
            self._turn = None
            self._silences += 1
        self._abandon(unit)

    def _abandon(self, unit: Unit) -> None:
        """Nobody waits for what is on its way; see to it that it is not taken for something else, and go on."""
        self._flight.give_up()
        if self.endpoint.serial is not None:
            self._flight.forget()
            self._free_at = asyncio.get_running_loop().time() + unit.timeout_s
        elif not self._framing.numbered or self._silences >= _SILENCES_MAX:
            self._renew()
            return
        elif self._users > 1:
            self._grace_s = unit.timeout_s
        self._go_on()
