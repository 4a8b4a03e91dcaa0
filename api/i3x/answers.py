"""The envelopes of i3X: one result, one per element asked for, or a refusal; compressed for whoever takes that."""

import asyncio
import gzip
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.payload import encoded

_FAILED: Final = b'{"success":false'
_AT_ONCE_MAX: Final = 65_536
"""Bytes that are compressed in a millisecond; more of them are in a thread, where the event loop does not wait."""

log = logging.getLogger(__name__)


def refused(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return why something cannot be done at all."""
    return _json(_FAILED + b',"responseDetail":%s}' % _detail(status, text), status, headers)


def single(result: bytes, partial: str = "") -> Response:
    """Return one result; `partial` says what is missing from it, if anything is."""
    return _json(b'{"success":true%s,"result":%s}' % (_partial(partial), result), 206 if partial else 200)


def listed(result: Sequence[Mapping[str, Any]]) -> Response:
    return single(orjson.dumps(result))


def bulk(items: Sequence[bytes], partial: str = "") -> Response:
    """Return the answers to many, as `done` and `failed` make them."""
    success = b"false" if any(item.startswith(_FAILED) for item in items) else b"true"
    head = b'{"success":%s%s,"results":[' % (success, _partial(partial))
    return _json(head + b",".join(items) + b"]}", 206 if partial else 200)


def done(id: str, result: bytes = b"null", key: str = "elementId") -> bytes:
    return b'{"success":true,"%s":%s,"result":%s}' % (key.encode(), encoded(id), result)


def failed(id: str, status: int, text: str, key: str = "elementId") -> bytes:
    return _FAILED + b',"%s":%s,"responseDetail":%s}' % (key.encode(), encoded(id), _detail(status, text))


def unknown(id: str) -> bytes:
    return failed(id, 404, f"there is no element {id[:200]}")


def _detail(status: int, text: str) -> bytes:
    return encoded({"title": HTTPStatus(status).phrase, "status": status, "detail": text})


def _json(body: bytes, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _partial(text: str) -> bytes:
    return b',"responseDetail":' + _detail(206, text) if text else b""


# --- errors -------------------------------------------------------------------------------


def install(app: FastAPI) -> None:
    """Make an application answer all its errors this way."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConnectionError, _away)
    app.add_exception_handler(Exception, _bug)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:  # the route knows its own methods only, and some paths have two routes
        routes = (route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL)
        allowed = ", ".join(sorted({method for route in routes for method in route.methods}))
        return refused(405, f"{request.method} is not possible here, {allowed} is", {"Allow": allowed})
    return refused(error.status_code, str(error.detail), error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = (
        f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
    )
    return refused(400, "; ".join(wrong)[:2000])


async def _away(request: Request, error: Exception) -> Response:
    return refused(503, str(error), {"Retry-After": "5"})


async def _bug(request: Request, error: Exception) -> Response:
    log.error("a bug of the gateway in %s %s", request.method, request.url.path, exc_info=error)
    return refused(500, "the gateway made a mistake; its log has the details")


# --- bytes --------------------------------------------------------------------------------


class Gzipped:
    """Compresses every answer, however short, for whoever takes gzip; event streams go as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = scope["type"] == "http" and "gzip" in Headers(scope=scope).get("accept-encoding", "")
        await self._app(scope, receive, _compressing(send) if wanted else send)


def _compressing(send: Send) -> Send:
    """A Send that compresses an answer once its body is whole."""
    start: Message | None = None
    body = bytearray()

    async def compress(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start" and _whole(message):
            start = message
        elif start is None:
            await send(message)
        else:
            body += message.get("body", b"")
            if not message.get("more_body", False):
                long = len(body) > _AT_ONCE_MAX
                short = await asyncio.to_thread(gzip.compress, body, 1) if long else gzip.compress(body, 1)
                _relabel(start, len(short))
                await send(start)
                await send({"type": "http.response.body", "body": short})

    return compress


def _whole(start: Message) -> bool:
    return not Headers(raw=start["headers"]).get("content-type", "").startswith("text/event-stream")


def _relabel(start: Message, length: int) -> None:
    headers = MutableHeaders(raw=start["headers"])
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(length)
    headers.add_vary_header("Accept-Encoding")
    start["headers"] = headers.raw
