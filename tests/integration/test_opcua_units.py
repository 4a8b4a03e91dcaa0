"""Units and ranges of an OPC UA server on the bus and in the API, where the configuration has none."""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from tests import servers
from tests.conformance.test_opcua_describing import CEL
from tests.integration.process import PATIENCE_S, alive, write
from tests.tahu import parsed

NODE = f"nsu={servers.OpcUaRig.URI};s="
OPEN = {"unit": "Cel", "range": [-5.0, 40.0]}
MIXED = {"unit": "K", "range": [-5.0, 40.0]}


async def test_meta_and_api_show_what_the_server_says_and_the_configuration_wins(tmp_path: Path) -> None:
    with servers.mosquitto(tmp_path) as broker:
        async with servers.opcua() as server, servers.Subscriber(broker.port) as subscriber:
            for name in ("Temperature", "Count"):
                await server.describe(name, CEL, (-5.0, 40.0))
            tags: dict[str, Any] = {
                "temperature": {"node": NODE + "Temperature"},
                "count": {"node": NODE + "Count", "unit": "K"},
                "big": {"node": NODE + "Big"},
            }
            config = {
                "site": {"enterprise": "acme", "site": "test"},
                "data_dir": str(tmp_path / "data"),
                "sparkplug": {},
                "bus": {"url": f"mqtt://127.0.0.1:{broker.port}"},
                "api": {"listen": "127.0.0.1:0"},
                "devices": {"press": {"connect": server.url, "asset": "hall/press", "tags": tags}},
            }

            def meta() -> dict[str, Any]:
                told = subscriber.on("/hall/press/_meta")
                return {name: facts(one) for name, one in orjson.loads(told[-1])["tags"].items()} if told else {}

            def facts(said: dict[str, Any]) -> dict[str, Any]:
                return {key: said[key] for key in ("unit", "range") if said.get(key)}

            def born(name: str) -> dict[str, Any]:
                """The number among the properties of a metric, as the last birth has them."""
                births = [parsed(p) for topic, p, _ in subscriber.messages if "/DBIRTH/" in topic]
                found = [m.properties for m in births[-1].metrics if m.name == name] if births else []
                return {key: one.double_value for p in found for key, one in zip(p.keys, p.values, strict=True)}

            async with alive(write(tmp_path / "plant.yaml", config)) as gateway, asyncio.timeout(PATIENCE_S):
                await subscriber.until(lambda: meta() == {"temperature": OPEN, "count": MIXED, "big": {}})
                await subscriber.until(lambda: born("count").get("engHigh") == 40.0)
                for name, wanted in (("temperature", OPEN), ("count", MIXED), ("big", {})):
                    said = await asyncio.to_thread(gateway.get, f"/api/v1/tags/acme/test/hall/press/{name}")
                    assert facts(said) == wanted, said
                await server.describe("Count", CEL, (-5.0, 50.0))
                await server.forget_subscriptions()
                await subscriber.until(lambda: born("count").get("engHigh") == 50.0)
