"""The tools for language models, by the SDK's own client, at the shipped command."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from api.mcp import OPERATIONS
from tests import servers
from tests.integration.process import GatewayProcess, alive, write

VIEWER, ENGINEER = "viewer-token-0123456789", "engineer-token-0123456789"
TOKENS = {
    "model": {"token": VIEWER, "role": "viewer"},
    "narrow": {"token": VIEWER + "1", "role": "viewer", "tags": ["hall/press/speed"]},
    "eng": {"token": ENGINEER, "role": "engineer"},
}
SPEED, HOLE = "acme/test/hall/press/speed", "hall/press/hole"


@asynccontextmanager
async def gateway(folder: Path, **api: Any) -> AsyncIterator[GatewayProcess]:
    """A gateway that reads a press, one register of which is refused."""
    rig = servers.ModbusRig()
    rig.holding[10], rig.illegal = 1500, {14}
    await rig.start()
    tags = {"speed": {"register": "holding:10", "unit": "Hz"}, "hole": {"register": "holding:14"}}
    press = {"connect": f"modbus://127.0.0.1:{rig.port}?unit=1", "asset": "hall/press", "poll": "50ms", "tags": tags}
    keys = {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{servers.free_port()}"},
        "api": {"listen": "127.0.0.1:0", **api},
        "devices": {"press": press},
    }
    async with alive(write(folder / "gateway.yaml", keys)) as one:
        yield one
    await rig.stop()


@asynccontextmanager
async def client(one: GatewayProcess, token: str = "") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=20) as http,
        Client(streamable_http_client(f"{one.ready['api']}/mcp", http_client=http)) as connected,
    ):
        yield connected


async def call(model: Client, name: str, **arguments: Any) -> Any:
    """Return what a tool says, from JSON."""
    return json.loads(said(await model.call_tool(name, arguments), error=False))


def said(result: CallToolResult, *, error: bool) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert result.is_error is error, content.text
    return content.text


async def until_read(model: Client) -> None:
    async with asyncio.timeout(30):
        while (await call(model, "get_value", path=SPEED))["value"] is None:
            pass


async def test_a_model_looks_around_and_asks_why(tmp_path: Path) -> None:
    async with gateway(tmp_path, mcp=True) as one, client(one) as model:
        tools = {tool.name: tool for tool in (await model.list_tools()).tools}
        assert tuple(tools) == OPERATIONS
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools.values())
        assert {"path", "from", "to", "bucket", "points"} <= tools["get_history"].input_schema["properties"].keys()
        await until_read(model)
        assert [tag["path"] for tag in (await call(model, "list_tags", match="*/speed"))["tags"]] == [SPEED]
        assert (await call(model, "get_asset", path="hall/press"))["tags"] == ["hole", "speed"]
        assert {one["value"] for one in await call(model, "list_values", match="*/speed")} == {1500}
        history = await call(model, "get_history", path=SPEED, **{"from": "-1h", "limit": 2})
        assert history["unit"] == "Hz"
        assert (await call(model, "why_tag", path=HOLE))["quality"] == "bad"
        assert (await call(model, "get_lineage", path=SPEED))["device"] == "press"


async def test_what_is_asked_wrongly_is_said_in_words(tmp_path: Path) -> None:
    async with gateway(tmp_path, mcp=True) as one, client(one) as model:
        await until_read(model)
        assert "there is no tag nowhere" in said(await model.call_tool("get_value", {"path": "nowhere"}), error=True)
        assert "needs path" in said(await model.call_tool("get_value", {}), error=True)
        assert "no argument speed" in said(await model.call_tool("list_tags", {"speed": 1}), error=True)
        assert "422" in said(await model.call_tool("list_tags", {"limit": -1}), error=True)
        assert "422" in said(await model.call_tool("get_history", {"path": SPEED, "from": "soon"}), error=True)
        sly = said(await model.call_tool("get_value", {"path": "../config?x=1#"}), error=True)
        assert "there is no tag" in sly
        assert "no tool write_tag" in said(await model.call_tool("write_tag", {"path": SPEED, "value": 1}), error=True)


async def test_tokens_and_the_audit_trail_are_those_of_rest(tmp_path: Path) -> None:
    async with gateway(tmp_path, mcp=True, tokens=TOKENS) as one:
        url = one.ready["api"]
        refused = await asyncio.to_thread(httpx.post, f"{url}/mcp", json={})
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
        refused = await asyncio.to_thread(
            httpx.post, f"{url}/mcp", json={}, headers={"Authorization": f"Bearer {VIEWER}1"}
        )
        assert refused.status_code == 403
        async with client(one, VIEWER) as model:
            await until_read(model)
            await call(model, "get_history", path=SPEED)
        head = {"Authorization": f"Bearer {ENGINEER}"}
        trail = (await asyncio.to_thread(httpx.get, f"{url}/api/v1/audit", headers=head)).json()["records"]
        exports = [record for record in trail if record.get("who") == "model" and "history" in record["object"]]
        assert exports, trail


async def test_it_is_off_unless_it_is_asked_for(tmp_path: Path) -> None:
    async with gateway(tmp_path) as one:
        answer = await asyncio.to_thread(httpx.post, f"{one.ready['api']}/mcp", json={})
        assert answer.status_code == 404


async def test_there_is_no_session_to_listen_to_or_to_end(tmp_path: Path) -> None:
    async with gateway(tmp_path, mcp=True) as one:
        for method in ("get", "delete", "put"):
            answer = await asyncio.to_thread(httpx.request, method, f"{one.ready['api']}/mcp")
            assert answer.status_code == 405, method
