"""From the headers of a request to who asks. What they may is not decided here.

Authorization: Bearer <token of the configuration | token of a login | JSON Web Token of the identity provider>
Authorization: Basic  <user:password>                                       if api.basic
"""

import asyncio
import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.identity.caller import Caller, Client, Denied, digest, too_often
from api.identity.oidc import Oidc, Wrong
from api.identity.pace import Rate, Throttle, neighbourhood
from api.identity.passwords import LENGTH_MAX, Passwords
from api.identity.sessions import Session, Sessions
from gateway.audit import Audit, Entry
from gateway.config import Api

CREDENTIAL_MAX: Final = 8192
"""Bytes of an Authorization header; longer ones are not looked at."""
_USER_FREE: Final = 5
_ADDRESS_FREE: Final = 20
"""Wrong passwords for one user, and from one address, before the next has to wait."""
_UNKNOWN_PER_S: Final = 20.0
_UNKNOWN_AT_ONCE: Final = 200.0
_BASIC_MAX: Final = 100
_BASIC_S: Final = 60.0
_NAME_MAX: Final = 64
WRONG: Final = "the user or the password is wrong"


@dataclass(frozen=True, slots=True)
class Login:
    """A login that worked: the token to show from now on, whose it is and until when [ns]."""

    token: str
    caller: Caller


class Desk:
    """Knows the tokens, the users and the identity provider of one gateway. `secured` is whether there are any."""

    def __init__(self, clients: Mapping[str, Client], keys: Api, now_ns: Callable[[], int], audit: Audit) -> None:
        self._clients = {digest(one.token.encode()): (name, one) for name, one in clients.items()}
        self._users = keys.users
        self._passwords = Passwords({name: user.password for name, user in keys.users.items()})
        self._sessions = Sessions(keys.session)
        self._basic: OrderedDict[bytes, tuple[str, float]] | None = OrderedDict() if keys.basic else None
        self._basic_key = secrets.token_bytes(32)
        self._oidc = Oidc(keys.oidc, now_ns, _steady_s) if keys.oidc is not None else None
        self._now_ns = now_ns
        self._audit = audit
        self._rate = Rate(keys.rate, 5 * keys.rate)
        self._unknown = Rate(_UNKNOWN_PER_S, _UNKNOWN_AT_ONCE)
        self._throttles = (("user", Throttle(_USER_FREE)), ("address", Throttle(_ADDRESS_FREE)))
        self.secured = bool(clients or keys.users or keys.oidc)
        self.takes_logins = bool(keys.users)
        self.challenge = 'Bearer, Basic realm="gateway"' if keys.basic else "Bearer"

    async def caller(self, headers: Sequence[tuple[bytes, bytes]], address: str) -> Caller | None:
        """Return who asks, None if they do not say or are not known. Raises Denied if that cannot be looked at."""
        said = [value for name, value in headers if name == b"authorization"]
        if len(said) > 1:
            raise Denied(400, "there is more than one Authorization header")
        if not said or len(said[0]) > CREDENTIAL_MAX:
            return None
        kind, _, credential = said[0].partition(b" ")
        match kind.lower():
            case b"bearer":
                return await self._bearer(credential.strip())
            case b"basic" if self._basic is not None:
                return await self._by_password(credential.strip(), address)
        return None

    def check_pace(self, caller: Caller | None, address: str) -> None:
        """Raise Denied 429 for whoever asks too often: by name, or for those who are not known by address."""
        rate, key = (self._unknown, neighbourhood(address)) if caller is None else (self._rate, caller.name)
        if wait_s := rate.wait_s(key, _steady_s()):
            raise too_often(wait_s)

    async def login(self, user: str, password: str, address: str) -> Login:
        """Begin a session. Raises Denied: 401 for a wrong user or password, 429 after too many of them, 503."""
        await self._check(user, password, address)
        token, session = self._sessions.begin(user, self._now_ns())
        return Login(token, self._of(session))

    def logout(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """End the session that asks; whether it is one."""
        said = next((value for name, value in headers if name == b"authorization"), b"")
        return self._sessions.end(said.partition(b" ")[2].strip())

    # --- who has a token ------------------------------------------------------------------

    async def _bearer(self, token: bytes) -> Caller | None:
        key, now_ns = digest(token), self._now_ns()
        if key in self._clients:
            name, one = self._clients[key]
            good = one.expires_ns is None or now_ns < one.expires_ns
            return Caller(name, one.role, "token", one.expires_ns, one.scopes, one.tags) if good else None
        if (session := self._sessions.find(token, now_ns)) is not None:
            return self._of(session)
        if self._oidc is not None and token.count(b".") == 2 and token.isascii():
            try:
                return await self._oidc.caller(token.decode("ascii"))
            except Wrong as error:
                self._audit.often(Entry("authenticate", "oidc", "refused", detail=str(error)))
        return None

    def _of(self, session: Session) -> Caller:
        return Caller(session.user, self._users[session.user].role, "session", session.expires_ns)

    # --- who has a password ---------------------------------------------------------------

    async def _by_password(self, credential: bytes, address: str) -> Caller | None:
        """Whoever sends user and password with every request; what was right is known for a minute, by its hash."""
        assert self._basic is not None
        key, now_s = hmac.digest(self._basic_key, credential, "sha256"), _steady_s()
        user, until_s = self._basic.get(key, ("", 0.0))
        if now_s >= until_s:
            try:
                user, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
            await self._check(user, password, address)
            self._basic[key] = (user, now_s + _BASIC_S)
            if len(self._basic) > _BASIC_MAX:
                self._basic.popitem(last=False)
        return Caller(user, self._users[user].role, "password")

    async def _check(self, user: str, password: str, address: str) -> None:
        """Raise Denied if this is not a user and their password, and while too many wrong ones came.

        A try counts as wrong until it is right, so that many at once are not better than one after the other.
        """
        keys, now_s = {"user": user[:_NAME_MAX], "address": neighbourhood(address)}, _steady_s()
        known = user if user in self._users else "a user who is not known"  # it may be a password, typed too early
        if wait_s := max(throttle.wait_s(keys[of], now_s) for of, throttle in self._throttles):
            self._audit.often(Entry("login", known, "refused", detail="too many wrong passwords"))
            raise too_often(wait_s)
        for of, throttle in self._throttles:
            throttle.failed(keys[of], now_s)
        if len(password) > LENGTH_MAX or not self._users or not await self._passwords.right(user, password):
            self._audit.often(Entry("login", known, "refused", detail=WRONG))
            raise Denied(401, WRONG, {"WWW-Authenticate": self.challenge})
        self._throttles[0][1].passed(keys["user"])
        self._throttles[1][1].forgive(keys["address"])


def _steady_s() -> float:
    return asyncio.get_running_loop().time()
