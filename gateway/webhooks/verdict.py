"""What an answer, or none, means for the event and for its endpoint. Pure.

Only 2xx is success (Standard Webhooks 1.0). Everything else is tried again by the schedule, also 4xx: a receiver whose
token has run out, or that knows a type of event only after its next release, shall not lose what happened meanwhile.
410 Gone disables the endpoint, and what waits for it waits on. 3xx is a failure, for nothing is followed.
"""

import random
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from gateway.webhooks.endpoint import Endpoint

GONE: Final = 410
_WAIT_S_MAX: Final = 86_400.0
"""The longest wait that a receiver can ask for: that of the schedule's last step."""
_JITTER: Final = 0.2
"""A wait is up to so much longer, so that those who failed together do not come back together."""
_OF_THE_EVENT: Final = frozenset(range(400, 500)) - {401, 403, 404, 408, 425, 429}
"""Answers that say something of what was sent; all others say how the receiver is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: the beginning of its body, and `Retry-After` as it is."""

    status: int
    body: bytes = b""
    retry_after: str = ""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def words(self) -> str:
        """What it said, for people, on one line."""
        body = "".join(c if c.isprintable() else " " for c in self.body[:200].decode("utf-8", "replace")).strip()
        return f"it answers {self.status}" + (f": {body}" if body else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an event after an attempt; `due_ns` is when it is tried again, `pause_s` how long all wait.

    `away` is whether that was the trouble of the endpoint rather than of the event.
    """

    what: Literal["delivered", "again", "dead", "gone"]
    error: str = ""
    due_ns: int = 0
    pause_s: float = 0.0
    away: bool = False


def judge(answer: Answer | str, attempts: int, endpoint: Endpoint, now_ns: int, chance: random.Random) -> Verdict:
    """Judge the attempt of this number, 1, 2, 3 ...: an answer, or why there was none."""
    if isinstance(answer, Answer) and answer.good:
        return Verdict("delivered")
    error, asked_s, away = (answer, 0.0, True) if isinstance(answer, str) else _said(answer, now_ns)
    if isinstance(answer, Answer) and answer.status == GONE:
        return Verdict("gone", error, now_ns, away=True)
    if attempts > len(endpoint.retries_s):
        return Verdict("dead", error, away=away, pause_s=asked_s)
    wait_s = max(endpoint.retries_s[attempts - 1], asked_s) * (1.0 + _JITTER * chance.random())
    return Verdict("again", error, now_ns + round(wait_s * 1e9), asked_s, away)


def retry_after_s(text: str, now_ns: int) -> float:
    """Return how long a `Retry-After` asks to wait [s], 0 if it asks for nothing (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdecimal():
        wait_s = float(text[:9])
    else:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        wait_s = when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now_ns / 1e9
    return min(max(wait_s, 0.0), _WAIT_S_MAX)


def _said(answer: Answer, now_ns: int) -> tuple[str, float, bool]:
    """Why it is no success, how long it asks to wait, and whether it is the receiver's trouble."""
    return answer.words, retry_after_s(answer.retry_after, now_ns), answer.status not in _OF_THE_EVENT
