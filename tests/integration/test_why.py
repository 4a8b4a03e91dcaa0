"""Why a tag is bad and where its value comes from, told by the shipped command about real Modbus and OPC UA servers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import servers
from tests.integration.process import PATIENCE_S, GatewayProcess, alive, write

NODE = f"nsu={servers.OpcUaRig.URI};s="


def config(folder: Path, modbus: servers.ModbusRig, opcua: servers.OpcUaRig) -> dict[str, Any]:
    press = {
        "speed": {"register": "holding:10", "type": "uint32", "order": "CDAB", "scale": 0.1, "offset": 5, "unit": "Hz"},
        "near": {"register": "holding:12"},
        "hole": {"register": "holding:14"},
    }
    filler = {"temperature": {"node": NODE + "Temperature"}, "nothing": {"node": NODE + "Nothing"}}
    filler["big"] = {"node": NODE + "Big", "poll": "50ms"}
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{servers.free_port()}"},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {
            "press": {
                "connect": f"modbus://127.0.0.1:{modbus.port}?unit=1",
                "asset": "hall/press",
                "poll": "50ms",
                "timeout": "300ms",
                "tags": press,
            },
            "filler": {
                "connect": opcua.url,
                "asset": "hall/filler",
                "publishing": "50ms",
                "tags": filler,
            },
        },
    }


class Asker:
    """Asks a gateway about tags."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway

    async def ask(self, tag: str, what: str) -> dict[str, Any]:
        found: dict[str, Any] = await asyncio.to_thread(self._gateway.get, f"/api/v1/tags/hall/{tag}/{what}")
        return found

    async def until(self, tag: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first answer to why of which something is true."""
        found: list[dict[str, Any]] = []

        def asked() -> bool:
            found.append(self._gateway.get(f"/api/v1/tags/hall/{tag}/why"))
            return true(found[-1])

        await asyncio.to_thread(self._gateway.until, asked)
        return found[-1]

    async def good(self, tag: str) -> list[dict[str, Any]]:
        """Wait until a tag is good and return its chain, in which nothing is wrong."""
        why = await self.until(tag, lambda why: bool(why["quality"] == "good"))
        assert (why["remedy"], why["cause"], [step for step in why["chain"] if step["trouble"]]) == ("", "", [])
        chain: list[dict[str, Any]] = why["chain"]
        return chain

    async def unknown(self, tag: str) -> dict[str, Any]:
        return await self.until(tag, lambda why: bool(why["reason"] == "BadNodeIdUnknown"))


async def test_each_cause_is_told_from_the_tag_to_the_wire(tmp_path: Path) -> None:
    async with servers.modbus() as modbus, servers.opcua() as opcua:
        modbus.illegal = {14}
        path = write(tmp_path / "plant.yaml", config(tmp_path, modbus, opcua))
        async with alive(path) as gateway, asyncio.timeout(3 * PATIENCE_S):
            asker = Asker(gateway)
            await of_modbus(asker)
            await of_opcua(asker)
            await modbus.stop()
            await opcua.stop()
            for tag in ("press/speed", "filler/temperature"):
                away = await asker.until(tag, lambda why: bool(why["quality"] != "good"))
                assert "there is no connection" in away["text"]
                assert "firewalls" in away["remedy"]
                assert away["since"] is not None
                await asker.until(tag, lambda why: bool(why["chain"][-1]["facts"]["state"] == "down"))


async def of_modbus(asker: Asker) -> None:
    chain = await asker.good("press/speed")
    assert [step["kind"] for step in chain] == ["register", "request", "unit", "link", "device"]
    await asker.good("press/near")
    lineage = await asker.ask("press/speed", "lineage")
    assert lineage["steps"][0]["facts"] == {
        "area": "holding", "start": 10, "registers": 2, "type": "uint32", "order": "CDAB", "scale": 0.1, "offset": 5.0,
    }  # fmt: skip
    assert (lineage["device"], lineage["unit"], lineage["boot"]) == ("press", "Hz", 1)
    assert lineage["source_time"] <= lineage["received"]
    later = lineage
    while later["sequence"] == lineage["sequence"]:
        later = await asker.ask("press/speed", "lineage")
    assert later["sequence"] > lineage["sequence"] >= 1
    assert later["received"] > lineage["received"]
    hole = await asker.unknown("press/hole")
    assert hole["cause"] == "exception 2"
    assert "exception 2, illegal data address" in hole["text"]
    assert "some manuals count from 1" in hole["remedy"]
    assert [step["kind"] for step in hole["chain"]] == ["register", "unit", "link", "device"]
    again = await asker.unknown("press/hole")
    assert again["since"] == hole["since"], "it is bad since then, however often that is told"


async def of_opcua(asker: Asker) -> None:
    chain = await asker.good("filler/temperature")
    assert [step["kind"] for step in chain] == ["node", "subscription", "session", "link", "device"]
    source = (await asker.ask("filler/temperature", "lineage"))["steps"][0]["facts"]
    assert (source["node"], source["node_id"]) == (NODE + "Temperature", "ns=2;s=Temperature")
    assert (await asker.good("filler/big"))[1]["facts"] == {"poll_s": 0.05}
    nothing = await asker.unknown("filler/nothing")
    assert "the server refuses it with BadNodeIdUnknown" in nothing["text"]
    assert "gateway discover" in nothing["remedy"]
