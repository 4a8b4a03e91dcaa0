"""A collector of traces: OTLP over HTTP, decoded by the protocol's own package. Answers whatever the test wants."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collected:
    """What has come, and what is answered to the next."""

    port: int = 0
    status: int = 200
    rejected: int = 0
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def attributes(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dictionary of plain values."""
    return {one.key: _plain(one) for one in pairs}


def _plain(one: KeyValue) -> Any:
    return getattr(one.value, str(one.value.WhichOneof("value")))


@contextmanager
def collector(port: int = 0) -> Iterator[Collected]:
    found = Collected()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.paths.add(self.path)
            found.headers.append(dict(self.headers))
            if found.status == 200:
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    found.resources.append(attributes(group.resource.attributes))
                    found.spans += [span for scope in group.scope_spans for span in scope.spans]
            answer = ExportTraceServiceResponse()
            answer.partial_success.rejected_spans = found.rejected
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(answer.SerializeToString())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)  # noqa: TID251  # as all servers of http.server have
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
