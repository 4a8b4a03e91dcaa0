"""The suite runs on both event loops that the gateway may have: asyncio's own, and uvloop where there is one.

What goes further into OPC UA runs on the one that the gateway would take: test_connectors.py has both, and asyncua
stands between the loop and the rest. So does what is asked by i3X, for uvicorn stands there.
"""

import asyncio
import importlib.util
from collections.abc import Callable, Mapping

import pytest

Loops = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Loops:
    if importlib.util.find_spec("uvloop") is None:
        return {"asyncio": asyncio.new_event_loop}
    import uvloop

    ours: Loops = {"uvloop": uvloop.new_event_loop}
    return (
        ours if item.path.name.startswith(("test_opcua", "test_i3x_")) else {"asyncio": asyncio.new_event_loop, **ours}
    )
