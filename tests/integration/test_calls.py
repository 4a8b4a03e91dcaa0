"""A call from HTTP to a method of a real OPC UA server and back, through the command that is shipped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from asyncua import ua

from tests.conformance.test_opcua_methods import TYPES, URI, Machine
from tests.integration.process import alive, write
from tests.integration.test_writes import TOKENS, Desk, bearer
from tests.servers import free_port

ARGUMENTS: dict[str, dict[str, Any]] = {name: {"limits": [-(2**63), 2**64]} for name in TYPES} | {
    "Boolean": {},
    "String": {"choices": ["Grüße"]},
    "Double": {"limits": [0, 1e300]},
}


def configuration(folder: Path, url: str) -> dict[str, Any]:
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{free_port()}"},
        "historian": "none",
        "api": {"listen": "127.0.0.1:0", "tokens": TOKENS, "writers": ["erp"]},
        "devices": {
            "mill": {
                "connect": url,
                "asset": "hall/mill",
                "timeout": "1s",
                "methods": {
                    "every": {"object": "i=85", "method": f"nsu={URI};s=Every", "arguments": ARGUMENTS},
                    "wave": {"object": "i=85", "method": f"nsu={URI};s=Plain", "interval": "1ms"},
                },
                "tags": {"time": {"node": "i=2258"}},
            }
        },
    }


@asynccontextmanager
async def mill(folder: Path) -> AsyncIterator[tuple[Machine, httpx.AsyncClient]]:
    """A machine, and a client of the gateway that is connected to it."""
    machine = Machine()
    await machine.start()
    config = write(folder / "plant.yaml", configuration(folder, machine.url))
    try:
        async with alive(config) as gateway, httpx.AsyncClient(base_url=gateway.ready["api"], timeout=20) as http:
            await Desk(http).until("/api/v1/devices/mill", state="up")
            yield machine, http
    finally:
        machine.ends.set()
        await machine.server.stop()


async def post(
    http: httpx.AsyncClient, id: str, method: str, arguments: Any = None, who: str = "erp"
) -> httpx.Response:
    wish = {"id": id, "method": f"hall/mill/{method}", "arguments": arguments or {}}
    return await http.post("/api/v1/calls", json=wish, headers=bearer(who))


async def test_a_method_is_called_once_and_what_it_returns_comes_back(tmp_path: Path) -> None:
    async with mill(tmp_path) as (machine, http):
        machine.answer = [ua.Variant(7, ua.VariantType.UInt64), ua.Variant(["a", "b"])]
        done = await post(http, "a", "every", TYPES)
        assert (done.status_code, done.json()["status"], done.json()["code"]) == (200, "done", "Good")
        assert done.json()["outputs"] == {"Serial": 7, "Names": ["a", "b"]}
        assert done.json()["argument_results"] == dict.fromkeys(TYPES, "Good")
        assert (await post(http, "a", "every", TYPES)).json() == done.json()
        refused = [
            await post(http, "b", "every", TYPES),
            await post(http, "c", "every", TYPES, "page"),
            await post(http, "d", "every", TYPES | {"Double": -0.5}),
            await post(http, "e", "other"),
        ]
        assert [answer.status_code for answer in refused] == [503, 403, 422, 404]
        assert len(machine.told) == 1


async def test_a_server_that_does_not_answer_leaves_it_unknown_and_it_is_not_repeated(tmp_path: Path) -> None:
    async with mill(tmp_path) as (machine, http):
        machine.answer = None
        unknown = await post(http, "a", "wave")
        assert (unknown.status_code, unknown.json()["call"]["status"]) == (504, "unknown")
        assert "look at the machine" in unknown.json()["detail"]
        assert (await post(http, "a", "wave")).json() == unknown.json()
        assert len(machine.told) == 1
