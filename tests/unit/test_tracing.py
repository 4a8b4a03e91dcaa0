"""Spans on their way to a collector that takes them, does not, or is not there; and what the configuration may say."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from pydantic import ValidationError

from gateway.config import tracing
from gateway.config.tracing import Tracing
from gateway.config.yaml import Secret
from gateway.tracing.outbox import Outbox
from tests.collector import Collected, collector
from tests.inline import inline


def made(outbox: Outbox, n: int) -> None:
    """End n spans."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(outbox)
    for k in range(n):
        provider.get_tracer("test").start_span(f"span {k}").end()


async def sent(outbox: Outbox) -> None:
    """Run until all is sent, or raise what ends a run."""
    async with asyncio.TaskGroup() as tasks:
        up = asyncio.Event()
        run = tasks.create_task(outbox.run(up.set))
        tasks.create_task(_cancelled(run, up))


async def test_what_there_is_no_room_for_is_dropped_oldest_first_and_counted() -> None:
    with collector() as found:
        outbox = Outbox(Tracing(endpoint=found.url), inline, 0)
        made(outbox, 2050)
        await sent(outbox)
    assert outbox.counts == {"spans": 2048, "spans_dropped": 2, "spans_refused": 0}
    assert [span.name for span in found.spans] == [f"span {k}" for k in range(2, 2050)]


async def _cancelled(run: asyncio.Task[None], up: asyncio.Event) -> None:
    await up.wait()
    run.cancel()


async def run_into_trouble(outbox: Outbox) -> str:
    with pytest.raises(ExceptionGroup) as raised:
        await sent(outbox)
    (error,) = raised.value.exceptions
    assert isinstance(error, OSError)
    return str(error)


@pytest.mark.parametrize("status", [429, 503])
async def test_what_a_collector_cannot_take_now_is_sent_again_once(status: int) -> None:
    with collector() as found:
        found.status = status
        outbox = Outbox(Tracing(endpoint=f"{found.url}/behind/a/proxy/"), inline, 0)
        made(outbox, 3)
        assert str(status) in await run_into_trouble(outbox)
        found.status = 200
        made(outbox, 1)
        await sent(outbox)
    assert len(found.spans) == outbox.counts["spans"] == 4
    assert found.paths == {"/behind/a/proxy/v1/traces"}


@pytest.mark.parametrize("status", [302, 400, 401])
async def test_what_a_collector_will_never_take_is_dropped_and_counted(status: int) -> None:
    with collector() as found:
        found.status = status
        outbox = Outbox(Tracing(endpoint=found.url), inline, 0)
        made(outbox, 3)
        assert "check tracing.endpoint and tracing.headers" in await run_into_trouble(outbox)
        found.status = 200
        made(outbox, 1)
        await sent(outbox)
    assert outbox.counts == {"spans": 1, "spans_dropped": 0, "spans_refused": 3}


async def test_what_a_collector_says_that_it_rejected_is_counted() -> None:
    with collector() as found:
        found.rejected = 2
        outbox = Outbox(Tracing(endpoint=found.url), inline, 0)
        made(outbox, 3)
        await sent(outbox)
    assert outbox.counts == {"spans": 1, "spans_dropped": 0, "spans_refused": 2}


async def test_a_stop_hands_over_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as found:
        outbox = Outbox(Tracing(endpoint=found.url), inline, 0)
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(outbox.run(lambda: None))
            await asyncio.sleep(0)
            made(outbox, 3)
            run.cancel()
    assert _names(found) == ["span 0", "span 1", "span 2"]


def _names(found: Collected) -> list[str]:
    return [span.name for span in found.spans]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"endpoint": "grpc://c:4317"}, "must be http://host:port or https://host:port, not 'grpc'"),
        ({"endpoint": "http://user@c:4318"}, "is for headers"),
        ({"endpoint": "http://c:4318?key=1"}, "is for headers"),
        ({"endpoint": "https://c:4318", "ca": "nowhere.pem"}, "nowhere.pem is no file"),
        ({"endpoint": "http://c:4318", "ratio": 1.5}, "less than or equal to 1"),
        ({"endpoint": "http://c:4318", "headers": {"api-key": "0123"}}, "it is written out"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("?", r"\?")):
        Tracing.model_validate(keys)


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"pip install 'itot-gateway\[otel\]'"):
        Tracing(endpoint="http://c:4318", headers={"api-key": Secret("0123")})
