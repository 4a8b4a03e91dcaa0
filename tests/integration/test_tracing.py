"""Traces, from the shipped command to a collector that decodes them with OpenTelemetry's own package."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from gateway.cli._process import read_config
from gateway.config import ConfigError
from tests import servers
from tests.collector import Collected, attributes, collector
from tests.integration.process import GatewayProcess, alive, write

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "Authorization": "Bearer viewer-token-0123456789"}
SPEED = "acme/test/hall/press/speed"


def keys(folder: Path, modbus: int, bus: dict[str, Any], tracing: dict[str, Any]) -> dict[str, Any]:
    (folder / "token").write_text("Bearer of-the-collector\n", encoding="utf-8")
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": bus,
        "api": {"listen": "127.0.0.1:0", "tokens": {"page": "viewer-token-0123456789"}},
        "tracing": {"headers": {"Authorization": f"${{file:{folder / 'token'}}}"}, **tracing},
        "devices": {
            "press": {
                "connect": f"modbus://127.0.0.1:{modbus}?unit=1",
                "asset": "hall/press",
                "poll": "50ms",
                "tags": {"speed": {"register": "holding:10"}},
            }
        },
    }


@asynccontextmanager
async def gateway(folder: Path, bus: dict[str, Any], **tracing: Any) -> AsyncIterator[GatewayProcess]:
    rig = servers.ModbusRig()
    rig.holding[10] = 1500
    await rig.start()
    async with alive(write(folder / "gateway.yaml", keys(folder, rig.port, bus, tracing))) as one:
        yield one
    await rig.stop()


def ask(one: GatewayProcess, path: str, method: str = "GET", **headers: str) -> int:
    return httpx.request(method, one.ready["api"] + path, headers=headers, timeout=20).status_code


def one_of(found: Collected, name: str) -> tuple[Span, dict[str, Any]]:
    (span,) = found.named(name)
    return span, attributes(span.attributes)


async def test_requests_are_spans_named_by_their_routes_and_below_those_of_their_callers(tmp_path: Path) -> None:
    asked = {
        "GET /api/v1/values": "/api/v1/values?match=*/speed&hint=hush",
        "GET /api/v1/values/{path}": f"/api/v1/values/{SPEED}",
        "GET /api/v1/tags/{path}/why": f"/api/v1/tags/{SPEED}/why",
        "GET /i3x/v1/objects": "/i3x/v1/objects",
        "HEAD /api/v1/devices": "/api/v1/devices",
        "GET": "/nowhere",
    }
    with collector() as found:
        async with gateway(
            tmp_path, {"listen": f"127.0.0.1:{servers.free_port()}"}, endpoint=found.url, ratio=0
        ) as one:
            for name, path in asked.items():
                await asyncio.to_thread(ask, one, path, name.partition(" ")[0], **CALLER)
            refused = {"traceparent": CALLER["traceparent"]}
            assert await asyncio.to_thread(ask, one, "/api/v1/audit", **refused) == 401
            assert await asyncio.to_thread(ask, one, "/livez") == 200
            await asyncio.to_thread(one.until, lambda: len(found.spans) == len(asked) + 1)
    assert found.paths == {"/v1/traces"}
    assert {one["Authorization"] for one in found.headers} == {"Bearer of-the-collector"}
    assert found.resources[0] == {
        "service.name": "itot-gateway",
        "service.version": found.resources[0]["service.version"],
        "service.instance.id": "acme/test/gw1",
    }
    for name, path in asked.items():
        if name != "GET":
            span, about = one_of(found, name)
            assert (span.kind, span.trace_id.hex()) == (Span.SPAN_KIND_SERVER, TRACE)
            assert span.parent_span_id.hex() == PARENT
            assert about == {
                "http.request.method": name.partition(" ")[0],
                "http.route": name.partition(" ")[2],
                "http.response.status_code": 200,
                "url.path": path.partition("?")[0],
                "url.scheme": "http",
                "network.protocol.version": "1.1",
            }
    assert {attributes(span.attributes)["http.response.status_code"] for span in found.named("GET")} == {401, 404}
    told = str(found.spans)
    assert "hush" not in told
    assert "viewer-token" not in told


async def test_what_is_published_and_stored_is_a_span_for_each_group_and_subscribers_can_go_on(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker, collector() as found:
        marks: list[str] = []
        first = threading.Event()

        def hear(client: Client, about: Any, message: MQTTMessage) -> None:
            marks.extend(
                value for name, value in getattr(message.properties, "UserProperty", ()) if name == "traceparent"
            )
            first.set()

        subscriber = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        subscriber.on_message = hear
        subscriber.connect("127.0.0.1", broker.port)
        subscriber.subscribe("uns/acme/test/hall/press/_batch")
        subscriber.loop_start()
        async with gateway(tmp_path, {"url": broker.url, "per_tag": False}, endpoint=found.url) as one:
            topic = "publish uns/{asset}/_batch"
            await asyncio.to_thread(first.wait, 30)
            await asyncio.to_thread(one.until, lambda: bool(found.named(topic) and found.named("append history")))
        subscriber.loop_stop()
        subscriber.disconnect()
    sent, stored = found.named(topic)[0], found.named("append history")[0]
    about = attributes(sent.attributes)
    readings = about.pop("gateway.readings")
    assert sent.kind == Span.SPAN_KIND_PRODUCER
    assert about == {
        "messaging.system": "mqtt",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.template": "uns/{asset}/_batch",
        "messaging.batch.message_count": about["messaging.batch.message_count"],
        "network.protocol.name": "mqtt",
    }
    assert readings >= about["messaging.batch.message_count"] > 0
    about = attributes(stored.attributes)
    assert stored.kind == Span.SPAN_KIND_CLIENT
    assert (about["db.system.name"], about["db.operation.name"]) == ("sqlite", "append")
    assert about["gateway.readings"] >= about["db.operation.batch.size"] > 0
    assert marks[0].rpartition("-")[0] in {f"00-{one.trace_id.hex()}-{one.span_id.hex()}" for one in found.named(topic)}


async def test_a_collector_that_is_away_is_told_and_gets_later_what_waits(tmp_path: Path) -> None:
    port = servers.free_port()
    bus = {"listen": f"127.0.0.1:{servers.free_port()}"}
    async with gateway(tmp_path, bus, endpoint=f"http://127.0.0.1:{port}", ratio=0) as one:

        def state() -> dict[str, str]:
            answer = httpx.get(one.ready["api"] + "/readyz", headers=CALLER, timeout=20)
            return dict(answer.json()["checks"]["tracing"])

        await asyncio.to_thread(one.until, lambda: "refused" in state()["detail"])
        with collector(port) as found:
            await asyncio.to_thread(one.until, lambda: bool(found.named("GET /readyz")))
            await asyncio.to_thread(one.until, lambda: state()["status"] == "pass")


def test_nothing_of_it_is_imported_while_it_is_off(tmp_path: Path) -> None:
    config = keys(tmp_path, 5020, {}, {})
    del config["tracing"]
    code = """
import random, sys
from pathlib import Path
from gateway.app import Gateway
from gateway.cli._process import read_config
from gateway.clock import SystemClock
Gateway(*read_config(Path(sys.argv[1])), SystemClock(), random.Random(1))._api()
print({".".join(name.split(".")[:2]) for name in sys.modules}
      & {f"opentelemetry.{of}" for of in ("sdk", "exporter", "proto")})
"""
    words = [sys.executable, "-c", code, str(write(tmp_path / "gateway.yaml", config))]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_header_that_is_written_out_is_refused(tmp_path: Path) -> None:
    config = keys(tmp_path, 5020, {}, {"endpoint": "http://c:4318", "headers": {"Authorization": "Bearer written"}})
    with pytest.raises(ConfigError) as raised:
        read_config(write(tmp_path / "gateway.yaml", config))
    assert "tracing.headers.Authorization: it is written out: keep it in the environment or a file" in str(raised.value)
    assert "Bearer written" not in str(raised.value)
