"""Runs a gateway as a process: event loop, signals, what is printed when it is ready."""

import asyncio
import dataclasses
import gc
import json
import logging
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from gateway.app import Gateway, Ready
from gateway.changes import Source
from gateway.clock import SystemClock, loop_factory
from gateway.config import Config, Document, check, load, parsed
from gateway.plugins import Protocols, shipped, signal_kinds

log = logging.getLogger(__name__)

_SWITCH_S: Final = 0.0005
"""How long a busy thread may keep the event loop waiting. With Python's 5 ms, a scan of 17 requests is up to 85 ms
longer beside the compaction of history: at 200,000 values/s the age of values at a subscriber was 80-100 ms (p99), with
this it was 46-56."""


def read_config(path: Path) -> tuple[Config, Document]:
    """Read a configuration, with all protocols and signals that there are. Raises ConfigError."""
    return load(path, Protocols(), signal_kinds(), shipped("devices"))


def check_text(text: str, file: str) -> tuple[Config, Document]:
    """Check the text of a configuration, as read_config does with a file."""
    return check(parsed(text, file), Protocols(), signal_kinds(), shipped("devices"))


def build(path: Path, *, watch: bool = False) -> Gateway:
    """Put a gateway together from a configuration, which may be changed while it runs. Raises ConfigError, OSError.

    The configuration of a large plant takes some memory, which is free again when this returns.
    """
    return _built(*read_config(path), Source(path, partial(check_text, file=str(path)), watch))


def build_once(path: Path, adapt: Callable[[Config], Config]) -> Gateway:
    """Put a gateway together from a configuration that is adapted to this machine, and stays as it is."""
    config, document = read_config(path)
    return _built(adapt(config), document, None)


def _built(config: Config, document: Document, source: Source | None) -> Gateway:
    for warning in document.warnings:
        log.warning("%s", warning)
    return Gateway(config, document, SystemClock(), random.Random(), source)


def run(gateway: Gateway, *, duration_s: float | None, ready: Callable[[Ready], None]) -> None:
    """Run a gateway until SIGTERM, Ctrl-C or the duration ends it. Raises OSError."""
    gc.collect()
    gc.freeze()  # what is there now stays, so the collector need not look at it again
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_life(gateway, duration_s, ready))


async def _life(gateway: Gateway, duration_s: float | None, ready: Callable[[Ready], None]) -> None:
    stop = asyncio.Event()
    _on_signal(stop.set)
    if gateway.changes is not None and hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.changes.reload)
    if duration_s is not None:
        asyncio.get_running_loop().call_later(duration_s, stop.set)
    await gateway.run(stop, ready)


def ready_line(ready: Ready) -> str:
    """Return the line that a script waits for."""
    return json.dumps({"ready": True, **dataclasses.asdict(ready)})


def _on_signal(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
