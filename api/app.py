"""The HTTP application: all routes, their errors, and what a browser may do. Who may ask is access.py's business.

The probes, the page's own files and the documentation are open to all.
"""

import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import (
    advice,
    alarms,
    aligned,
    audit,
    browse,
    calls,
    config,
    health,
    history,
    ledger,
    login,
    maintenance,
    orders,
    problems,
    production,
    readings,
    reports,
    stream,
    webhooks,
    why,
    writes,
)
from api.access import Access, Client
from api.fast import Fast
from api.feed import Feed
from api.i3x import app as i3x
from api.i3x.answers import Gzipped, refused
from api.identity.caller import Denied
from api.identity.desk import Desk
from api.plant import Plant
from api.present import Known
from api.problems import problem
from gateway.config import Api

_PAGE: Final = Path(__file__).parent / "page"
_STATIC: Final = StaticFiles(directory=_PAGE, html=True)
_FILES: Final = {"/", *(f"/{file.name}" for file in _PAGE.glob("*"))}
_OPEN: Final = (
    frozenset(
        {"/livez", "/readyz", "/docs", "/openapi.json", "/static-offline-docs/", "/api/v1/login", f"{i3x.PREFIX}/info"}
    )
    | _FILES
)
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_CONTENT_SECURITY: Final = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'"
)
_DOCS_SECURITY: Final = _CONTENT_SECURITY + b"; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
"""The one page that has its script within itself, as fastapi writes it; nothing from a plant is on it."""
_FOR_A_YEAR: Final = (b"strict-transport-security", b"max-age=31536000")
_NO_KEYS: Final = Api()


def create(plant: Plant, clients: Mapping[str, Client], keys: Api = _NO_KEYS) -> ASGIApp:
    """Return the application; `clients` are those that have a token, by name, `keys` says who else may ask, and how.

    Without any of them it is open to all.
    """
    desk = Desk(clients, keys, plant.now_ns, plant.audit)
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="IT/OT gateway",
        version=plant.version,
        description="Readings of a plant, as they are and as they were. Times are UTC, ranges half-open [from, to).",
        openapi_tags=[
            {"name": "plant", "description": "What there is"},
            {"name": "readings", "description": "What it says and said"},
            {"name": "writes", "description": "What it is told, if the configuration allows that"},
            {"name": "alarms", "description": "What is not as it should be, and what people do about it"},
            {"name": "production", "description": "What is made, what it was lost by, and for which order"},
            {"name": "maintenance", "description": "How machines are, what was advised, and whether that was right"},
            {"name": "webhooks", "description": "Who is told of what happens, and what became of it"},
            {"name": "access", "description": "Who asks"},
            {"name": "configuration", "description": "What it is made of, and how that is changed"},
            {"name": "health", "description": "How the gateway is doing"},
        ],
    )
    problems.install(app)
    feed, known = Feed(plant), Known(plant)
    bearer = [Depends(HTTPBearer(auto_error=False))] if desk.secured else []  # for the document; Access looks at them
    app.include_router(readings.router(plant, known), dependencies=bearer)  # first, for it is asked most
    rooms = (why, browse, history, aligned, ledger, writes, calls, alarms, production, orders, reports, webhooks)
    for part in (*rooms, config, audit):
        app.include_router(part.router(plant), dependencies=bearer)
    for part in (advice, maintenance):  # in this order: an advice is below what a machine could be
        app.include_router(part.router(plant), dependencies=bearer)
    for shared in (stream, health):
        app.include_router(shared.router(plant, feed), dependencies=bearer)
    app.include_router(health.probes(plant))
    app.include_router(login.door(plant, desk))
    app.include_router(login.router(plant, desk), dependencies=bearer)
    mimetypes.add_type("text/javascript", ".js")  # the registry of Windows may say otherwise
    app.mount(i3x.PREFIX, i3x.create(plant), name="i3x")
    app.router.default = _page  # behind all routes: a route asked by another method is not a page that is missing
    if keys.mcp:
        from api.mcp import Mcp  # an extra of the package: who does not want it need not have it

        tools = Mcp(f"gateway {plant.gateway}", plant.version, app.openapi(), lambda: guarded)
        app.router.routes.append(Route("/mcp", tools, methods=["POST"]))
    guarded = Access(_Heads(Fast(app, plant, known)), plant, desk, _OPEN, _refused)
    return _Headers(_for_pages(guarded, keys.cors))


def _for_pages(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Let scripts of other pages ask, those that are named; they send a token like everybody, never a cookie."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", "If-Match", "If-None-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Link", "Retry-After"],
    )


def _refused(path: str, denied: Denied) -> ASGIApp:
    """The answer to whoever may not ask that, in the words of what was asked."""
    if path.startswith(f"{i3x.PREFIX}/"):
        return Gzipped(refused(denied.status, denied.detail, denied.headers))
    return problem(denied.status, denied.detail, headers=denied.headers)


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    """The files of the live page, and nothing else."""
    if scope["path"] not in _FILES:
        raise HTTPException(404, f"there is nothing at {scope['path'][:200]}")
    await _STATIC(scope, receive, send)


class _Heads:
    """Answers HEAD as it would GET, without the body (RFC 9110 section 9.3.2), also where a body has no end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        told = False

        async def head(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})
                told = True

        async def gone() -> Message:
            return {"type": "http.disconnect"} if told else await receive()

        asked = {**scope, "method": "GET"}
        await self._app(asked, gone, head)
        scope.update((key, asked[key]) for key in ("template", "route", "root_path") if key in asked)


class _Headers:
    """Adds the headers that tell a browser to be careful."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
                security = _DOCS_SECURITY if scope["path"] == "/docs" else _CONTENT_SECURITY
                message["headers"].append((b"content-security-policy", security))
                if scope.get("scheme") == "https":
                    message["headers"].append(_FOR_A_YEAR)
                if scope["path"] in _FILES:  # after an upgrade no browser may mix old files with new ones
                    message["headers"].append((b"cache-control", b"no-cache"))
            await send(message)

        await self._app(scope, receive, careful if scope["type"] == "http" else send)
