"""Who may ask what: the one place that decides, in front of all routes and of every application that is mounted.

Without tokens everybody who reaches the API may ask everything, so without tokens it only listens on this machine (the
configuration sees to that). With tokens every request needs one, but what is open to all. A token has a role, and each
role may do what those before it may. Whether a tag may be written is asked again behind `Plant.write`.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.plant import Plant

ROLES: Final = ("viewer", "operator", "engineer", "admin")
"""viewer looks; operator also writes to devices; engineer also sees and changes the configuration; admin may do all."""

Refuse = Callable[[str, int, str], ASGIApp]
"""Makes an answer of path, status and detail."""

READING: Final = ("GET", "HEAD", "OPTIONS")
RULES: Final = (
    (("POST",), "/api/v1/writes", "operator"),
    (("POST",), "/api/v1/calls", "operator"),
    ((*READING, "POST"), "/api/v1/config", "engineer"),
    (("POST",), "/i3x/v1", "viewer"),
    (("PUT",), "/i3x/v1/objects", "operator"),
)
"""The role that a request needs, by method and beginning of the path; else a viewer may read and nobody do the rest."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who has a token, and what it is good for; `expires_ns` is in nanoseconds since 1970 UTC."""

    token: str
    role: str = "operator"
    expires_ns: int | None = None


def needed(method: str, path: str) -> str | None:
    """Return the role that a request needs, None if nobody may."""
    for verbs, start, role in RULES:
        if method in verbs and (path == start or path.startswith(start + "/")):
            return role
    return "viewer" if method in READING else None


class Access:
    """Lets requests through that may be asked; the name of the client goes with them as `state.client`."""

    def __init__(
        self, app: ASGIApp, plant: Plant, clients: Mapping[str, Client], open_to_all: frozenset[str], refused: Refuse
    ) -> None:
        self._app = app
        self._plant = plant
        self._clients = clients
        self._open = open_to_all
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._clients:
            await self._app(scope, receive, send)
            return
        name = self._who(scope)
        if name is None and not self._is_open(scope["path"]):
            needs = "this needs a token: send Authorization: Bearer ..."
            await self._refused(scope["path"], 401, needs)(scope, receive, send)
            return
        if name is not None and not _may(self._clients[name].role, needed(scope["method"], scope["path"])):
            told = f"the role of {name} is {self._clients[name].role}, which may not do this"
            await self._refused(scope["path"], 403, told)(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "client": name or ""}
        await self._app(scope, receive, send)

    def _who(self, scope: Scope) -> str | None:
        """The name that the token of a request belongs to, if it is still good; all are compared, in the same time."""
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        given, now_ns = token.strip().encode(), self._plant.now_ns()
        found = [name for name, one in self._clients.items() if hmac.compare_digest(given, one.token.encode())]
        valid = [n for n in found if (end_ns := self._clients[n].expires_ns) is None or now_ns < end_ns]
        return valid[0] if kind.lower() == "bearer" and valid else None

    def _is_open(self, path: str) -> bool:
        return any(path == one or (len(one) > 1 and one.endswith("/") and path.startswith(one)) for one in self._open)


def _may(role: str, wanted: str | None) -> bool:
    return wanted is not None and ROLES.index(role) >= ROLES.index(wanted)
