"""Answers HTTP requests by uvicorn on a socket that is there already; knows nothing of who answers."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gateway.garbled import strict

_UNHEARD_MS: Final = 60_000
"""A client that takes nothing for so long is gone; the system itself would wait for a quarter of an hour."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the command line has them."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # there it is a generator that is one
        return nullcontext()


@asynccontextmanager
async def serving(
    app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext | None = None, proxies: Sequence[str] = ()
) -> AsyncIterator[None]:
    """Answer HTTP requests as long as the scope lasts.

    From `proxies`, addresses or networks, it is believed for whom they ask and whether by TLS; from nobody else.
    """
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
    )
    config.load()
    config.ssl = tls
    config.http_protocol_class = strict(config.http_protocol_class)
    async with asyncio.TaskGroup() as tasks:
        server = _Server(config)
        tasks.create_task(server.serve(sockets=[listener]), name="api")
        yield
        server.should_exit = True


def tls_context(cert: str, key: str) -> ssl.SSLContext:
    """Return what makes a socket one of TLS 1.2 or 1.3. Raises OSError naming the files if they are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise OSError(f"{cert} and {key} are no certificate and its key without a password: {error}") from error
    return context
