"""Traces of OpenTelemetry: spans of requests, of what is published and of what history takes. Off by default.

    spans.py   what is a span, and what it says
    outbox.py  spans on their way to a collector

The SDK is an extra of the package, `[otel]`: nothing of it is imported here, and what is not traced has no wrapper.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from starlette.types import ASGIApp

from gateway.config import Config
from gateway.contracts import Offload, Sink

Part = tuple[str, Callable[[Callable[[], None]], Coroutine[Any, Any, None]], Callable[[], Mapping[str, int]]]
"""Something to keep running: its name, what to run, what that counts."""


class Traces(Protocol):
    """Puts spans around what does work."""

    @property
    def parts(self) -> list[Part]: ...

    def requests(self, app: ASGIApp) -> ASGIApp: ...

    def publisher(self, sink: Sink) -> Sink: ...

    def historian(self, sink: Sink) -> Sink: ...

    def mark(self) -> bytes:
        """Return properties for a message of MQTT 5 that tell of the span in which it is sent; empty without one."""
        ...


class NoTraces:
    """Gives back what it is given."""

    @property
    def parts(self) -> list[Part]:
        return []

    def requests(self, app: ASGIApp) -> ASGIApp:
        return app

    def publisher(self, sink: Sink) -> Sink:
        return sink

    def historian(self, sink: Sink) -> Sink:
        return sink

    def mark(self) -> bytes:
        return b""


def traces(config: Config, offload: Callable[[], Offload]) -> Traces:
    """Return what a configuration wants; `offload` gives a thread of its own for the collector."""
    if config.tracing is None:
        return NoTraces()
    from gateway.tracing.spans import Spans  # an extra of the package: who does not want it need not have it

    return Spans(config, config.tracing, offload())
