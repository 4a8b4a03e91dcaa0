"""The HTTP application: all routes, their errors, who may ask, and what a browser may do.

Without tokens everybody who reaches it may read, so without tokens it only listens on this machine (the
configuration sees to that). With tokens every request needs one, but the probes, the page's own files and the
documentation; the owner's name goes with the request, for whoever asks who may write.
"""

import hmac
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import aligned, browse, config, health, history, ledger, problems, readings, stream, why, writes
from api.i3x import app as i3x
from api.i3x.answers import Gzipped, refused
from api.plant import Plant
from api.problems import problem

_PAGE: Final = Path(__file__).parent / "page"
_FILES: Final = {"/", *(f"/{file.name}" for file in _PAGE.glob("*"))}
_OPEN: Final = {"/livez", "/readyz", "/docs", "/openapi.json", f"{i3x.PREFIX}/info"} | _FILES
_OPEN_BELOW: Final = "/static-offline-docs/"
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_CONTENT_SECURITY: Final = b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"


def create(plant: Plant, tokens: Mapping[str, str]) -> ASGIApp:
    """Return the application; `tokens` are the bearer tokens by the name of their owner, none for open access."""
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="IT/OT gateway",
        version=plant.version,
        description="Readings of a plant, as they are and as they were. Times are UTC, ranges half-open [from, to).",
        openapi_tags=[
            {"name": "plant", "description": "What there is"},
            {"name": "readings", "description": "What it says and said"},
            {"name": "writes", "description": "What it is told, if the configuration allows that"},
            {"name": "configuration", "description": "What it is made of, and how that is changed"},
            {"name": "health", "description": "How the gateway is doing"},
        ],
    )
    problems.install(app)
    bearer = [Depends(HTTPBearer(auto_error=False))] if tokens else []  # for the document; _Tokens looks at them
    for part in (why, browse, readings, history, aligned, ledger, stream, writes, config, health):
        app.include_router(part.router(plant), dependencies=bearer)
    mimetypes.add_type("text/javascript", ".js")  # the registry of Windows may say otherwise
    app.mount(i3x.PREFIX, i3x.create(plant), name="i3x")
    app.mount("/", StaticFiles(directory=_PAGE, html=True), name="page")
    return _Headers(_Tokens(app, tokens) if tokens else app)


class _Tokens:
    """Lets requests through that carry one of the tokens."""

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str]) -> None:
        self._app = app
        self._tokens = {name: token.encode() for name, token in tokens.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = self._owner(scope) if scope["type"] == "http" else None
        if scope["type"] != "http" or owner is not None or _open(scope["path"]):
            scope["state"] = {**scope.get("state", {}), "client": owner or ""}
            await self._app(scope, receive, send)
            return
        await _unauthorized(scope["path"])(scope, receive, send)

    def _owner(self, scope: Scope) -> str | None:
        """The name that the token of a request belongs to."""
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        given = token.strip().encode()
        owners = [name for name, known in self._tokens.items() if hmac.compare_digest(given, known)]
        return owners[0] if kind.lower() == "bearer" and owners else None


def _unauthorized(path: str) -> ASGIApp:
    """The answer to whoever has no token, in the words of what was asked."""
    needed, headers = "this needs a token: send Authorization: Bearer ...", {"WWW-Authenticate": "Bearer"}
    if path.startswith(f"{i3x.PREFIX}/"):
        return Gzipped(refused(401, needed, headers))
    return problem(401, needed, headers=headers)


def _open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


class _Headers:
    """Adds the headers that tell a browser to be careful."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
                if scope["path"] != "/docs":
                    message["headers"].append((b"content-security-policy", _CONTENT_SECURITY))
                if scope["path"] in _FILES:  # after an upgrade no browser may mix old files with new ones
                    message["headers"].append((b"cache-control", b"no-cache"))
            await send(message)

        await self._app(scope, receive, careful if scope["type"] == "http" else send)
