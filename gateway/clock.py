"""The clock, the event loop and the worker threads of the machine, behind their contracts."""

import asyncio
import importlib.util
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class SystemClock:
    """The wall clock of this machine."""

    def now_ns(self) -> int:
        return time.time_ns()


class ThreadOffload:
    """Run blocking work in the given executor; one worker means one thing at a time and in order."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*args, **kwargs))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: a third less CPU when many devices answer one request at a time."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop  # not on Windows

    return uvloop.new_event_loop
