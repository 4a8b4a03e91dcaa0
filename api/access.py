"""Who may ask what: the one place that decides, in front of all routes and of every application that is mounted.

Without tokens, users and identity provider everybody who reaches the API may read everything, so it only listens on
this machine then (the configuration sees to that). Else every request needs to be somebody's, but what is open to all.
Who that is the desk says (identity/desk.py). They have a role, and each role may do what those before it may; a token
may have less: some scopes, some tags. Whether a tag may be written is asked again behind `Plant.write`.

What is refused, changed or taken away in bulk goes to the audit trail here, unless it was told there behind the door.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.identity.caller import Caller, Denied
from api.identity.caller import Client as Client
from api.identity.desk import Desk
from api.plant import Plant
from gateway.asking import Asker, served
from gateway.audit import Entry

ROLES: Final = ("viewer", "operator", "engineer", "admin")
"""viewer looks; operator also writes to devices; engineer also sees and changes the configuration; admin may do all."""

Refuse = Callable[[str, Denied], ASGIApp]
"""Makes an answer for a path of why it is denied."""

READING: Final = ("GET", "HEAD", "OPTIONS")
RULES: Final = (
    (("POST",), "/api/v1/login", "viewer"),
    (("POST",), "/api/v1/logout", "viewer"),
    (("POST",), "/api/v1/writes", "operator"),
    (("POST",), "/api/v1/calls", "operator"),
    (("POST",), "/api/v1/orders", "operator"),
    (("POST",), "/api/v1/downtime", "operator"),
    (("POST",), "/api/v1/maintenance", "operator"),
    (("POST",), "/api/v1/webhooks", "operator"),
    (("POST",), "/api/v1/alarms/suppress", "engineer"),
    (("POST",), "/api/v1/alarms/service", "engineer"),
    (("POST",), "/api/v1/alarms", "operator"),
    ((*READING, "POST"), "/api/v1/config", "engineer"),
    (READING, "/api/v1/audit", "engineer"),
    (("POST",), "/i3x/v1", "viewer"),
    (("POST",), "/mcp", "viewer"),
    (("PUT",), "/i3x/v1/objects", "operator"),
)
"""The role that a request needs, by method and beginning of the path; else a viewer may read and nobody do the rest."""

SCOPES: Final = {"viewer": "read", "operator": "write", "engineer": "configure", "admin": "configure"}
"""The scope that a token with scopes needs, by the role that anybody would need; some paths have another."""
_HEALTH: Final = ("/healthz", "/metrics")
_OWN: Final = ("/api/v1/session", "/api/v1/logout")
"""What is about whoever asks."""
_BY_TAG: Final = ("/api/v1/values/", "/api/v1/history/", "/api/v1/tags/")
_AT_THE_DOOR: Final = ("/api/v1/writes", "/api/v1/calls")
"""Where a token for some tags gets: the path names a tag, or the door of writes looks at it (gateway/writes.py)."""
_BULK: Final = ("/api/v1/history", "/api/v1/config", "/api/v1/audit", "/i3x/v1/objects/history")
"""What is taken away in bulk, or tells of more than the plant: the audit trail has who had it."""
_IN_QUERY: Final = frozenset({"token", "access_token", "api_key", "apikey", "authorization", "password"})


def needed(method: str, path: str) -> str | None:
    """Return the role that a request needs, None if nobody may."""
    for verbs, start, role in RULES:
        if method in verbs and _below(path, start):
            return role
    return "viewer" if method in READING else None


class Access:
    """Lets requests through that may be asked; the name of the client goes with them as `state.client`."""

    def __init__(self, app: ASGIApp, plant: Plant, desk: Desk, open_to_all: frozenset[str], refused: Refuse) -> None:
        self._app = app
        self._plant = plant
        self._desk = desk
        self._open = open_to_all
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = _noteworthy(scope["method"], scope["path"])
        if not self._desk.secured and not told and not scope["query_string"]:
            await self._app(scope, receive, send)
            return
        asks = Asker(address=(scope.get("client") or ("",))[0])
        with served(asks):
            try:
                caller = await self._admitted(scope, asks)
            except Denied as denied:
                self._tell(scope, asks, denied.status, denied.detail)
                await self._refused(scope["path"], denied)(scope, receive, send)
                return
            scope["state"] = {**scope.get("state", {}), "client": asks.who, "caller": caller}
            if told:
                await self._watched(scope, receive, send, asks)
            elif scope["path"].endswith("/stream") and caller is not None and caller.expires_ns is not None:
                await self._until(caller.expires_ns, scope, receive, send)
            else:
                await self._app(scope, receive, send)

    async def _admitted(self, scope: Scope, asks: Asker) -> Caller | None:
        """Return who asks, if they may; nobody where everybody may. Raises Denied."""
        _check_query(scope["query_string"])
        if not self._desk.secured:
            return None
        caller = await self._desk.caller(scope["headers"], asks.address)
        if caller is not None:
            asks.who, asks.how, asks.writes, asks.tags = caller.name, caller.how, caller.writes, caller.tags
        if self._is_open(scope["path"]):
            return caller
        self._desk.check_pace(caller, asks.address)
        if caller is None:
            headers = {"WWW-Authenticate": self._desk.challenge}
            raise Denied(401, "this needs a token: send Authorization: Bearer ...", headers)
        self._check_rights(caller, asks, scope["method"], scope["path"])
        return caller

    def _check_rights(self, caller: Caller, asks: Asker, method: str, path: str) -> None:
        role = needed(method, path)
        if role is None or caller.role not in ROLES or ROLES.index(caller.role) < ROLES.index(role):
            raise Denied(403, f"the role of {caller.name} is {caller.role or 'none'}, which may not do this")
        if not _in_scope(caller, role, path):
            scopes = ", ".join(caller.scopes or ())
            raise Denied(403, f"the token of {caller.name} has not the scope for this, only {scopes}")
        if caller.tags and not _for_tags(asks, path, self._plant.site):
            tags = ", ".join(caller.tags)
            raise Denied(403, f"the token of {caller.name} is for {tags}: ask for these one by one, by their paths")

    def _is_open(self, path: str) -> bool:
        return any(path == one or (len(one) > 1 and one.endswith("/") and path.startswith(one)) for one in self._open)

    async def _until(self, expires_ns: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a stream, which has no end of its own, answered as long as whoever asked for it may."""
        patience = asyncio.timeout((expires_ns - self._plant.now_ns()) / 1e9)
        try:
            async with patience:
                await self._app(scope, receive, send)
        except TimeoutError:
            if not patience.expired():
                raise

    # --- what the audit trail hears ---------------------------------------------------------

    async def _watched(self, scope: Scope, receive: Receive, send: Send, asks: Asker) -> None:
        """Have a request answered, and tell of it with what became of it."""
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if not asks.told:
                self._tell(scope, asks, status)

    def _tell(self, scope: Scope, asks: Asker, status: int, detail: str = "") -> None:
        """Tell of a request; never of its query and its body, which may hold what nobody should read."""
        method, path = scope["method"], scope["path"]
        outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
        reading = method in READING or needed(method, path) == "viewer"
        action = "export" if reading and outcome == "done" else method
        entry = Entry(action, path, outcome, detail=f"{status} {detail}".rstrip())
        (self._plant.audit.often if reading or outcome == "refused" else self._plant.audit.add)(entry)


def _below(path: str, start: str) -> bool:
    return path == start or path.startswith(start + "/")


def _noteworthy(method: str, path: str) -> bool:
    """Whether the audit trail wants to hear of a request that is let through: a change, or a lot that is read."""
    changes = method not in READING and needed(method, path) != "viewer"
    return changes or any(_below(path, start) for start in _BULK)


def _in_scope(caller: Caller, role: str, path: str) -> bool:
    """Whether a token has the scope that a request needs, if it has scopes."""
    if caller.scopes is None or path in _OWN:
        return True
    if path in _HEALTH and "health" in caller.scopes:
        return True
    return ("audit" if _below(path, "/api/v1/audit") else SCOPES[role]) in caller.scopes


def _for_tags(asks: Asker, path: str, site: str) -> bool:
    """Whether a token for some tags may ask for a path; what names no tag, or could name others, is not for it."""
    for start in _BY_TAG:
        if path.startswith(start):
            tag = path.removeprefix(start)
            return asks.may_ask_for(tag.removesuffix("/why").removesuffix("/lineage"), site)
    return path in (*_AT_THE_DOOR, *_HEALTH, *_OWN)


def _check_query(query: bytes) -> None:
    """Raise Denied for a secret in a URL: these are in histories, logs and Referer headers. It is not looked at."""
    names = {name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    if names & _IN_QUERY:
        raise Denied(400, "a secret in a URL ends up in logs: send it as Authorization: Bearer ..., and take a new one")
