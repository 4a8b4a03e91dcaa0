"""A configuration that changes while the gateway runs: what is not touched notices nothing, and nothing is lost."""

import asyncio
import json
import os
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests import servers
from tests.integration.process import GatewayProcess, alive, write

TOKEN = "engineer-token-0123456789"
VIEWER = "viewer-token-0123456789"
NODE = f"nsu={servers.OpcUaRig.URI};s="


class Plant:
    """Two Modbus devices, an OPC UA server, a broker, a gateway on them, and somebody who hears all of it."""

    def __init__(self, folder: Path, devices: list[servers.ModbusRig], server: servers.OpcUaRig, broker: int) -> None:
        self.path = folder / "plant.yaml"
        self.modbus = devices
        self.server = server
        self.keys: dict[str, Any] = {
            "site": {"enterprise": "acme", "site": "test"},
            "data_dir": str(folder / "data"),
            "bus": {"url": f"mqtt://127.0.0.1:{broker}", "min_interval": "50ms"},
            "api": {
                "listen": "127.0.0.1:0",
                "tokens": {"eng": {"token": "${ENG_TOKEN}", "role": "engineer"}, "viewer": "${VIEW_TOKEN}"},
            },
            "changes": {"trial": "2s"},
            "devices": {
                "press": modbus(devices[0].port, "press", a=0, b=2),
                "saw": modbus(devices[1].port, "saw", a=0, b=2),
                "oven": {
                    "connect": server.url,
                    "asset": "hall/oven",
                    "tags": {"temperature": {"node": NODE + "Temperature"}, "count": {"node": NODE + "Count"}},
                },
            },
        }
        self.gateway: GatewayProcess
        self.heard: servers.Subscriber

    def text(self) -> str:
        return json.dumps(self.keys, indent=1)

    async def ask(
        self, method: str, path: str, content: str = "", token: str = TOKEN, **headers: str
    ) -> httpx.Response:
        told = {"Authorization": f"Bearer {token}", "Content-Type": "application/yaml", **headers}
        async with httpx.AsyncClient(base_url=self.gateway.ready["api"], timeout=30) as client:
            return await client.request(method, "/api/v1" + path, content=content, headers=told)

    async def apply(self, **headers: str) -> dict[str, Any]:
        answer = await self.ask("POST", "/config/apply", self.text(), **headers)
        assert answer.status_code == 200, answer.text
        applied: dict[str, Any] = answer.json()
        return applied

    async def get(self, path: str) -> Any:
        return (await self.ask("GET", path)).json()

    async def until(self, true: Callable[[Any], bool], path: str) -> Any:
        """Ask again and again until something is true of an answer."""
        for _ in range(300):
            found = await self.get(path)
            if true(found):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"{path} did not become what was wanted: {await self.get(path)}")

    async def settled(self) -> None:
        """Wait until every tag that is configured is good, and nobody is on trial."""
        await self.until(lambda values: values and all(value["quality"] == "good" for value in values), "/values")
        await self.until(lambda config: not config["trial"], "/config")

    def shuffle(self, chance: random.Random) -> None:
        """Give one of the devices other tags, or take one away."""
        name, tags = chance.choice(["saw", "oven", "new"]), chance.sample("abcdef", chance.randint(1, 5))
        if name == "oven":
            nodes = dict(zip("abcdef", ("Temperature", "Count", "Big", "Running", "Recipe", "Wave"), strict=True))
            self.keys["devices"]["oven"]["tags"] = {tag: {"node": NODE + nodes[tag]} for tag in tags}
        else:
            registers = {tag: 2 * "abcdef".index(tag) for tag in tags}
            self.keys["devices"][name] = modbus(self.modbus[1].port, name, **registers)
        if chance.random() < 0.3:
            self.keys["devices"].pop("new", None)

    def connections(self) -> list[Any]:
        return [*(rig.connections() for rig in self.modbus), self.server.sessions()]

    def check_the_bus(self) -> None:
        """No sequence of any asset has a gap, and none came twice."""
        sequences: dict[str, list[int]] = defaultdict(list)
        for topic, payload, _ in self.heard.messages:
            if topic.endswith("/_batch"):
                sequences[topic].append(orjson.loads(payload)["seq"])
        for topic, found in sequences.items():
            assert found == list(range(found[0], found[0] + len(found))), topic

    def told(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in self.heard.messages if heard == f"uns/acme/test/hall/{topic}"]


def modbus(port: int, name: str, **tags: int) -> dict[str, Any]:
    return {
        "connect": f"modbus://127.0.0.1:{port}",
        "asset": f"hall/{name}",
        "poll": "50ms",
        "timeout": "500ms",
        "tags": {tag: {"register": f"holding:{register}"} for tag, register in tags.items()},
    }


@asynccontextmanager
async def running(folder: Path, *options: str) -> AsyncIterator[Plant]:
    os.environ |= {"ENG_TOKEN": TOKEN, "VIEW_TOKEN": VIEWER}
    with servers.mosquitto(folder) as broker:
        async with servers.modbus() as press, servers.modbus() as saw, servers.opcua() as server:
            plant = Plant(folder, [press, saw], server, broker.port)
            write(plant.path, plant.keys)
            async with servers.Subscriber(broker.port) as plant.heard, alive(plant.path, *options) as plant.gateway:
                await plant.settled()
                yield plant


async def test_what_a_change_does_not_touch_notices_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        press, saw, oven = plant.connections()
        plant.keys["devices"]["saw"] = modbus(plant.modbus[1].port, "saw", a=0, c=4)
        planned = (await plant.ask("POST", "/config/plan", plant.text())).json()
        assert (planned["stops"], planned["starts"], planned["untouched"]) == (["saw"], ["saw"], ["press", "oven"])
        applied = await plant.apply(**{"If-Match": '"1"'})
        assert (applied["version"], applied["author"]) == (2, "eng")
        await plant.settled()
        now = plant.connections()
        assert (now[0], now[2]) == (press, oven)
        assert len(now[1]) == 1
        assert now[1] != saw
        await plant.heard.until(lambda: plant.told("saw/b")[-1:] == [b""] and bool(plant.told("saw/c")))
        await plant.heard.until(lambda: orjson.loads(plant.told("saw/_meta")[-1])["tags"].keys() == {"a", "c"})
        tags = [tag["path"] for tag in (await plant.get("/tags?match=*saw*"))["tags"]]
        assert tags == ["acme/test/hall/saw/a", "acme/test/hall/saw/c"]
        await plant.until(lambda page: len(page["readings"]) > 3, "/history/hall/saw/c")
        plant.check_the_bus()
        assert json.loads(plant.path.read_text(encoding="utf-8")) == plant.keys


async def test_a_device_that_comes_and_goes_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        oven = plant.keys["devices"].pop("oven")
        await plant.apply()
        assert plant.server.sessions() == []
        await plant.heard.until(lambda: plant.told("oven/_meta")[-1] == b"" and plant.told("oven/count")[-1] == b"")
        assert [device["name"] for device in await plant.get("/devices")] == ["press", "saw"]
        assert (await plant.ask("GET", "/tags/hall/oven/count")).status_code == 404
        plant.keys["devices"]["oven"] = oven
        await plant.apply()
        await plant.settled()
        assert len(plant.server.sessions()) == 1
        plant.check_the_bus()


async def test_a_wrong_configuration_changes_nothing_and_says_where(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        before, file = plant.connections(), plant.path.read_text(encoding="utf-8")
        plant.keys["devices"]["saw"]["tags"]["a"]["register"] = "holding:x"
        answer = await plant.ask("POST", "/config/apply", plant.text())
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        (line,) = [n for n, text in enumerate(plant.text().splitlines(), 1) if "holding:x" in text]
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"{plant.path}:{line}"]
        plant.path.write_text(plant.text(), encoding="utf-8")
        os.kill(plant.gateway.pid, signal.SIGHUP)
        now = await plant.until(lambda config: config["findings"], "/config")
        assert now["findings"][0].startswith(f"{plant.path}:{line}: devices.saw.tags.a")
        assert (now["version"], now["text"]) == (1, file)
        assert plant.connections() == before
        answer = await plant.ask("POST", "/config/apply", file + "\n")
        assert (answer.status_code, "edited and not applied" in answer.text) == (409, True)


async def test_only_engineers_see_and_change_it(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        for method, path in (
            ("GET", "/config"), ("POST", "/config/plan"), ("POST", "/config/apply"),
            ("POST", "/config/rollback/1"), ("GET", "/config/history"), ("GET", "/config/history/1"),
        ):  # fmt: skip
            assert (await plant.ask(method, path, plant.text(), token=VIEWER)).status_code == 403
        stale = await plant.ask("POST", "/config/apply", plant.text(), **{"If-Match": '"7"'})
        assert stale.status_code == 409
        other = await plant.ask("POST", "/config/apply", plant.text(), **{"Content-Type": "text/plain"})
        assert other.status_code == 415
        shown = json.dumps([await plant.get("/config"), await plant.get("/config/history/1")])
        assert TOKEN not in shown


async def test_a_change_that_breaks_a_device_is_rolled_back(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        good = plant.path.read_text(encoding="utf-8")
        press, _, oven = plant.connections()
        plant.keys["devices"]["saw"]["connect"] = f"modbus://127.0.0.1:{servers.free_port()}"
        plant.path.write_text(plant.text(), encoding="utf-8")
        os.kill(plant.gateway.pid, signal.SIGHUP)
        after = await plant.until(lambda config: config["version"] == 3, "/config")
        assert after["text"] == good == plant.path.read_text(encoding="utf-8")
        await plant.settled()
        versions = (await plant.get("/config/history"))["versions"]
        assert [version["author"] for version in versions] == ["gateway", "file", "file"]
        assert "saw did not work again" in versions[0]["why"]
        now = plant.connections()
        assert (now[0], now[2]) == (press, oven)
        plant.check_the_bus()


async def test_people_can_go_back_and_see_what_was_changed(tmp_path: Path) -> None:
    async with running(tmp_path, "--watch") as plant:
        good = plant.path.read_text(encoding="utf-8")
        plant.keys["devices"]["saw"]["tags"]["d"] = {"register": "holding:8"}
        plant.path.write_text(plant.text(), encoding="utf-8")
        await plant.until(lambda config: config["version"] == 2, "/config")
        version = await plant.get("/config/history/2")
        assert any(line.startswith("+") and "holding:8" in line for line in version["diff"])
        assert (await plant.ask("POST", "/config/rollback/9")).status_code == 404
        assert (await plant.ask("POST", "/config/rollback/1")).json()["version"] == 3
        assert plant.path.read_text(encoding="utf-8") == good
        assert (await plant.ask("GET", "/tags/hall/saw/d")).status_code == 404
        await plant.settled()
        plant.check_the_bus()


async def test_many_changes_in_a_row_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with running(tmp_path) as plant:
        press = plant.connections()[0]
        version = 1
        while version < 101:
            plant.shuffle(chance)
            version = (await plant.apply())["version"]
        await plant.settled()
        assert plant.connections()[0] == press
        versions = (await plant.get("/config/history"))["versions"]
        assert len(versions) == 100
        plant.check_the_bus()
        await plant.until(agrees, "/ledger")


def agrees(ledger: Any) -> bool:
    """Whether each device's readings are all accounted for: what was due came, or has its cause; each sink has it."""
    rows = [row for row in ledger["rows"] if row["expected"] is not None]
    for row in rows:
        missing = sum(gap["readings"] for gap in row["gaps"])
        if row["expected"] != row["good"] + missing or any(sink["dropped"] for sink in row["sinks"].values()):
            return False
    return bool(rows)
