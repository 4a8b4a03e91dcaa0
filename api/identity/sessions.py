"""What a login gives: an opaque token, good for some hours or until logout.

It is random and kept in memory, by its hash, rather than signed: so it can be ended at once, there is no key to guard
and to rotate, and a copy of the disk or a dump of the table opens nothing. A restart ends all of them; programs, which
should not notice that, have tokens of the configuration or of an identity provider.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from api.identity.caller import digest

EACH_MAX: Final = 20
"""Sessions of one user; a login more ends the oldest."""
ALL_MAX: Final = 1000
PREFIX: Final = "gws_"
"""So that those who look for leaked secrets know one when they see it."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login: whose, and until when [ns]."""

    user: str
    expires_ns: int


class Sessions:
    """The logins that are good."""

    def __init__(self, lifetime_s: float) -> None:
        self._lifetime_ns = round(lifetime_s * 1e9)
        self._open: dict[bytes, Session] = {}

    def begin(self, user: str, now_ns: int) -> tuple[str, Session]:
        """Return a new token and its session; the token is told here and nowhere else."""
        self._make_room(user, now_ns)
        token = PREFIX + secrets.token_urlsafe(32)
        session = self._open[digest(token.encode())] = Session(user, now_ns + self._lifetime_ns)
        return token, session

    def find(self, token: bytes, now_ns: int) -> Session | None:
        """Return the session of a token, if there is one that is still good."""
        session = self._open.get(digest(token))
        return session if session is not None and now_ns < session.expires_ns else None

    def end(self, token: bytes) -> bool:
        """End a session; whether there was one."""
        return self._open.pop(digest(token), None) is not None

    def _make_room(self, user: str, now_ns: int) -> None:
        self._open = {key: one for key, one in self._open.items() if now_ns < one.expires_ns}
        own = [key for key, one in self._open.items() if one.user == user]
        if len(own) >= EACH_MAX:
            del self._open[own[0]]
        elif len(self._open) >= ALL_MAX:
            del self._open[next(iter(self._open))]
