"""The suite runs on both event loops that the gateway may have: asyncio's own, and uvloop where there is one."""

import asyncio
import importlib.util
from collections.abc import Callable, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if importlib.util.find_spec("uvloop") is None:
        return {"asyncio": asyncio.new_event_loop}
    import uvloop

    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
