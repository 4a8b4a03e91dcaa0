"""Answers HTTP requests by uvicorn on a socket that is there already; knows nothing of who answers."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
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
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP requests as long as the scope lasts."""
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_MS)
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    config.load()
    config.http_protocol_class = strict(config.http_protocol_class)
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]), name="api")
        yield
        server.should_exit = True
