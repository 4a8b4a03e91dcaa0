"""When the process ends: a signal, or the end of its standard input. Works on Linux, macOS and Windows."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signal(stop: asyncio.Event) -> Iterator[None]:
    """Set the event on Ctrl-C and SIGTERM. Signals reach the main thread only; elsewhere there is nothing to do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def stopping(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, stopping) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_at_end_of_input(stop: asyncio.Event) -> None:
    """Set the event when standard input ends, as it does when the parent that holds its other end dies."""
    loop = asyncio.get_running_loop()

    def wait_for_end() -> None:
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(stop.set)

    # A blocking read is the only way that works on every system, and a daemon thread does not keep us alive.
    threading.Thread(target=wait_for_end, name="end of input", daemon=True).start()  # noqa: TID251
