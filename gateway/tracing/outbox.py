"""Spans on their way to a collector: OTLP over HTTP, as protobuf, from a bounded queue.

Nobody waits for the collector. What there is no room for, and what it does not want, is dropped and counted; what it
cannot take just now is sent again (OTLP 1.10, section "Failures").
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from gateway import __version__
from gateway.config.tracing import Tracing
from gateway.contracts import Offload

_WAITING_MAX: Final = 2048
"""As many as the SDK's own queue has."""
_TOGETHER: Final = 512
_TIMEOUT_S: Final = 5.0
_FAREWELL_S: Final = 2.0
"""How long the end may wait for the collector."""
_ANSWER_BYTES_MAX: Final = 1 << 16
_LATER: Final = (429, 502, 503, 504)
"""Answers after which the same spans may be sent again."""


class Outbox(SpanProcessor):
    """Takes spans that have ended, all of them on the event loop; `gather_s` is for more to come."""

    def __init__(self, keys: Tracing, offload: Offload, gather_s: float = 1.0) -> None:
        self._gather_s = gather_s
        self._post = _Collector(keys)
        self._offload = offload
        self._waiting: deque[ReadableSpan] = deque()
        self._again: Sequence[ReadableSpan] = ()
        self._came = asyncio.Event()
        self.counts = dict.fromkeys(("spans", "spans_dropped", "spans_refused"), 0)

    def on_end(self, span: ReadableSpan) -> None:
        if len(self._waiting) >= _WAITING_MAX:
            self._waiting.popleft()
            self.counts["spans_dropped"] += 1
        self._waiting.append(span)
        self._came.set()

    async def run(self, up: Callable[[], None]) -> None:
        """Send what comes until cancelled. Raises OSError when the collector does not take it."""
        try:
            await self._send()  # also nothing: whether it is there is known at once
            up()
            while True:
                await self._came.wait()
                await asyncio.sleep(self._gather_s)
                self._came.clear()
                while self._again or self._waiting:
                    await self._send()
                    up()
        except asyncio.CancelledError:
            with suppress(OSError):
                async with asyncio.timeout(_FAREWELL_S):
                    while self._again or self._waiting:
                        await self._send()
            raise

    async def _send(self) -> None:
        spans = self._again or [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
        self._again = ()
        try:
            refused = await self._offload(self._post, spans)
        except _Refused:
            self.counts["spans_refused"] += len(spans)
            raise
        except OSError:
            self._again = spans
            self._came.set()
            raise
        self.counts["spans"] += len(spans) - refused
        self.counts["spans_refused"] += refused


class _Refused(ConnectionError):
    """The collector will never take these spans."""


class _Collector:
    """Posts spans to a collector and returns how many of them it does not want. Raises OSError."""

    def __init__(self, keys: Tracing) -> None:
        url = urlsplit(keys.endpoint)
        assert url.hostname is not None
        self._place = (url.hostname, url.port)
        self._path = f"{url.path.rstrip('/')}/v1/traces"
        self._tls = ssl.create_default_context(cafile=keys.ca or None) if url.scheme == "https" else None
        agent = {"Content-Type": "application/x-protobuf", "User-Agent": f"itot-gateway/{__version__}"}
        self._headers = {**agent, **keys.headers}

    def __call__(self, spans: Sequence[ReadableSpan]) -> int:
        status, body = self._answer(encode_spans(spans).SerializeToString())
        if status != 200:
            kind = ConnectionError if status in _LATER else _Refused
            raise kind(f"the collector answers {status}: check tracing.endpoint and tracing.headers")
        try:
            return int(ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
        except DecodeError as error:
            raise _Refused("what answers is no collector: check tracing.endpoint") from error

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        host, port = self._place
        if self._tls is None:
            connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
        else:
            connection = HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=self._tls)
        with closing(connection):
            try:
                connection.request("POST", self._path, body, self._headers)
                answer = connection.getresponse()
                return answer.status, answer.read(_ANSWER_BYTES_MAX)
            except HTTPException as error:
                raise ConnectionError(f"the collector does not speak HTTP: {error!r}") from error
