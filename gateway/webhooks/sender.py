"""Hands what waits to one endpoint, so many at a time, and knows how that goes.

As long as the endpoint is away only one letter at a time is tried, and the supervisor waits in between; when one gets
through, those go at once that waited for nothing else. What is delivered twice, because the answer or its note on disk
was lost, has the same `webhook-id`.
"""

import asyncio
import logging
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

from gateway.cloudevents import Event
from gateway.contracts import Clock, Offload
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.letters import Letter, letter, request
from gateway.webhooks.outbox import Counts, Outbox, Waiting
from gateway.webhooks.verdict import Answer, Verdict, judge

P = ParamSpec("P")
T = TypeVar("T")
Deliver = Callable[[Mapping[str, str], bytes], Awaitable[Answer]]

_LOOK_S: Final = 60.0
"""How often it is looked what is due, should the clock be set meanwhile."""
_COUNTED: Final = ("events_queued", "events_delivered", "events_dropped", "events_dead", "events_forgotten",
                   "attempts_failed")  # fmt: skip

log = logging.getLogger(__name__)


class Sender:
    """One endpoint's. `file` has the outbox, in its thread; `post` raises OSError when there is no answer."""

    def __init__(
        self, endpoint: Endpoint, outbox: Outbox, offload: Offload, post: Deliver, clock: Clock, chance: random.Random
    ) -> None:
        self.endpoint = endpoint
        self.counted = Counter(dict.fromkeys(_COUNTED, 0))
        self.error = ""
        self.last_ns = 0
        self.gone = outbox.gone(endpoint)
        self.held = outbox.counts(endpoint)
        self._outbox = outbox
        self._offload = offload
        self._post = post
        self._clock = clock
        self._chance = chance
        self._news = asyncio.Event()
        self._flying: set[int] = set()
        self._trouble = "it answered 410 Gone and is disabled" if self.gone else ""
        self._lost = False
        self._gave_up = False
        self._pause_until = 0.0
        self._testing = False

    def counts(self) -> Mapping[str, int]:
        """Return what was counted since the start, by name."""
        return self.counted

    def gauges(self) -> Mapping[str, int]:
        """Return how many events wait, are being sent and were given up, by name."""
        return {"waiting": self.held.waiting, "in_flight": len(self._flying), "dead": self.held.dead}

    def wake(self) -> None:
        """Something waits that did not."""
        self._news.set()

    async def run(self, up: Callable[[], None]) -> None:
        """Send until cancelled. Raises ConnectionError when the endpoint is away, and has let those end that fly."""
        self._lost = False
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._news.clear()
                if not self._trouble:
                    up()
                wait_s = await self._turn(tasks)
                if self._lost and not self._flying:
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()
        raise ConnectionError(self._trouble)

    async def test(self, event: Event) -> tuple[Letter, Answer | str]:
        """Send an event at once, beside those that wait; an endpoint that takes it is not gone any more.

        One at a time: nothing is sent as long as another is under way.
        """
        one = letter(event)
        if self._testing:
            return one, "another test is under way, and nothing was sent"
        self._testing = True
        try:
            answer = await self._attempt(one)
        finally:
            self._testing = False
        if isinstance(answer, Answer) and answer.good:
            await self._worked()
        return one, answer

    async def described(self) -> dict[str, Any]:
        """Return how the endpoint does: names and numbers, times in ns, never secrets. Raises ConnectionError."""
        held = await self.count()
        return {
            "name": self.endpoint.name,
            "url": self.endpoint.shown,
            "gone": self.gone,
            **self.gauges(),
            "oldest_ns": held.oldest_ns,
            "delivered": self.counted["events_delivered"],
            "dropped": self.counted["events_dropped"],
            "failed": self.counted["attempts_failed"],
            "last_ns": self.last_ns,
            "last_error": self.error,
        }

    async def count(self) -> Counts:
        """Count what waits and was given up."""
        self.held = await filed(self._offload, self._outbox.counts, self.endpoint)
        return self.held

    async def _turn(self, tasks: asyncio.TaskGroup) -> float:
        """Send what is due unless the endpoint is lost; return how long there is nothing more to do [s]."""
        self._lost |= self.gone
        if self._lost:
            return _LOOK_S
        try:
            return await self._start(tasks)
        except ConnectionError as error:
            self._trouble, self._lost = str(error), True
            return _LOOK_S

    async def _start(self, tasks: asyncio.TaskGroup) -> float:
        """Send what is due, as many as may fly; return how long there is nothing more to do [s]."""
        now_ns, now_s = self._clock.now_ns(), asyncio.get_running_loop().time()
        await self.count()
        if now_s < self._pause_until:
            return min(self._pause_until - now_s, _LOOK_S)
        room = (1 if self._trouble else self.endpoint.in_flight) - len(self._flying)
        found = (
            await filed(self._offload, self._outbox.due, self.endpoint, now_ns, room + len(self._flying))
            if room > 0
            else []
        )
        for waiting in [one for one in found if one.number not in self._flying][: max(room, 0)]:
            self._flying.add(waiting.number)
            tasks.create_task(self._send(waiting))
        due_ns = await filed(self._offload, self._outbox.next_due, self.endpoint, now_ns)
        return _LOOK_S if due_ns is None else min((due_ns - now_ns) / 1e9, _LOOK_S)

    async def _send(self, waiting: Waiting) -> None:
        """Make an attempt and write down what became of it; what the disk does not take is tried again."""
        try:
            answer = await self._attempt(waiting.letter)
            now_ns = self._clock.now_ns()
            verdict = judge(answer, waiting.attempts + 1, self.endpoint, now_ns, self._chance)
            await self._judged(verdict)
            forgotten = await filed(self._offload, self._outbox.settle, self.endpoint, waiting, verdict, now_ns)
            self.counted["events_forgotten"] += forgotten
            if verdict.what == "delivered":
                self.counted["events_delivered"] += 1
                await self._worked()
        except ConnectionError as error:
            self._trouble, self._lost = str(error), True
        finally:
            self._flying.discard(waiting.number)
            self._news.set()

    async def _attempt(self, one: Letter) -> Answer | str:
        """Send it once; the answer, or why there is none."""
        second = self._clock.now_ns() // 10**9
        headers, body = request(one, self.endpoint.keys, second, binary=self.endpoint.binary)
        try:
            answer = await self._post(headers, body)
        except OSError as error:
            said = str(error) or type(error).__name__
            self.error = said
            return said
        self.error = "" if answer.good else answer.words
        return answer

    async def _judged(self, verdict: Verdict) -> None:
        """Take what an attempt says of the endpoint."""
        if verdict.what == "delivered":
            return
        self.counted["attempts_failed"] += 1
        name = self.endpoint.name
        if verdict.what == "gone" and not self.gone:
            self.gone = True
            log.error("webhook %s answers 410 Gone and is disabled: its events wait until a test gets through", name)
        if verdict.what == "dead":
            self.counted["events_dead"] += 1
            if not self._gave_up:
                tried = len(self.endpoint.retries_s) + 1
                log.error("webhook %s: events are given up after %d attempts; see its dead letters", name, tried)
            self._gave_up = True
        if verdict.away:
            self._trouble, self._lost = verdict.error, True
            self._pause_until = max(self._pause_until, asyncio.get_running_loop().time() + verdict.pause_s)

    async def _worked(self) -> None:
        """The endpoint took something: what waited only for that goes now."""
        was, self._trouble, self._lost = self._trouble, "", False
        self._gave_up, self._pause_until, self.last_ns = False, 0.0, self._clock.now_ns()
        if self.gone:
            self.gone = False
            await filed(self._offload, self._outbox.enable, self.endpoint)
        if was:
            await filed(self._offload, self._outbox.hasten, self.endpoint, self.last_ns)
        self._news.set()


async def filed(offload: Offload, work: Callable[P, T], *of: P.args, **named: P.kwargs) -> T:
    """Ask the outbox, in its thread. Raises ConnectionError if the disk fails."""
    try:
        return await offload(work, *of, **named)
    except sqlite3.Error as error:
        raise ConnectionError(f"webhooks.db cannot be used: {error}") from error
