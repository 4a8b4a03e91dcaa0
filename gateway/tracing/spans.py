"""What is a span and what it says, in the words of the semantic conventions 1.44 (HTTP, messaging, database).

A request is a server span, named by the template of its route; it has the path of what was asked, and never the query
or a header. A group of records is one span: what the publisher sends (producer), what history stores (client).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__
from gateway.bus.topics import Topics
from gateway.config import Config
from gateway.config.tracing import Tracing
from gateway.contracts import Offload, Sink
from gateway.model import Record
from gateway.mqtt import properties
from gateway.tracing import Part
from gateway.tracing.outbox import Outbox

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_CALLER: Final = TraceContextTextMapPropagator()
"""W3C Trace Context: traceparent and tracestate, and no baggage."""


class Spans:
    """Fulfils `Traces`."""

    def __init__(self, config: Config, keys: Tracing, offload: Offload) -> None:
        about = {
            "service.name": "itot-gateway",
            "service.version": __version__,
            "service.instance.id": f"{config.site.path}/{config.id}",
        }
        sampler = ParentBased(TraceIdRatioBased(keys.ratio))
        provider = TracerProvider(sampler, Resource(about), shutdown_on_exit=False)
        self._outbox = Outbox(keys, offload)
        provider.add_span_processor(self._outbox)
        self._tracer = provider.get_tracer("gateway", __version__)
        topic = Topics(config.bus.root, config.site.path, config.id).batch("{asset}")
        bus = {
            "messaging.system": "mqtt",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.template": topic,
            "network.protocol.name": "mqtt",
        }
        self._bus = _Group(f"publish {topic}", SpanKind.PRODUCER, bus, "messaging.batch.message_count")
        url = urlsplit(config.history_url)
        database = {"db.system.name": url.scheme, "db.operation.name": "append"}
        if url.hostname:
            database["server.address"] = url.hostname
        self._history = _Group("append history", SpanKind.CLIENT, database, "db.operation.batch.size")

    @property
    def parts(self) -> list[Part]:
        return [("tracing", self._outbox.run, lambda: self._outbox.counts)]

    def requests(self, app: ASGIApp) -> ASGIApp:
        return _Requests(app, self._tracer)

    def publisher(self, sink: Sink) -> Sink:
        return _Traced(sink, self._tracer, self._bus)

    def historian(self, sink: Sink) -> Sink:
        return _Traced(sink, self._tracer, self._history)

    def mark(self) -> bytes:
        told: dict[str, str] = {}
        if get_current_span().get_span_context().trace_flags.sampled:
            _CALLER.inject(told)
        return properties.users(told) if told else b""


@dataclass(frozen=True, slots=True)
class _Group:
    """What the spans of a sink say; `count` is the attribute that has the number of records."""

    name: str
    kind: SpanKind
    about: Mapping[str, str]
    count: str


class _Traced:
    """A Sink with a span for each group of records."""

    def __init__(self, sink: Sink, tracer: Tracer, group: _Group) -> None:
        self._sink = sink
        self._tracer = tracer
        self._group = group

    async def write(self, records: Sequence[Record]) -> None:
        group = self._group
        counts = {group.count: len(records), "gateway.readings": sum(map(len, records))}
        with _span(self._tracer, group.name, group.kind, {**group.about, **counts}):
            await self._sink.write(records)


class _Requests:
    """An ASGI application with a span for each request."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        about = {
            "http.request.method": method,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        begun = _CALLER.extract({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})
        with _span(self._tracer, _named(method), SpanKind.SERVER, about, begun) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        _failed(span, str(status))
                await send(message)

            try:
                await self._app(scope, receive, told)
            finally:
                if template := _template(scope):
                    span.update_name(f"{_named(method)} {template}")
                    span.set_attribute("http.route", template)


@contextmanager
def _span(
    tracer: Tracer, name: str, kind: SpanKind, about: Mapping[str, str | int], begun: Context | None = None
) -> Iterator[Span]:
    """A span, that of an exception too; of which it says the kind alone, for its text may quote anything."""
    with tracer.start_as_current_span(
        name, begun, kind, about, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            _failed(span, type(error).__qualname__)
            raise


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _named(method: str) -> str:
    return "HTTP" if method == "_OTHER" else method


def _template(scope: Scope) -> str:
    """The route that has answered, with its parameters in braces; nothing if none has."""
    told: str = scope.get("template", "")
    below: str = getattr(scope.get("route"), "path_format", "")
    return told or (scope.get("root_path", "") + below if below else "")
