"""What is told of an OPC UA device that is configured wrongly: by `gateway check --connect`, the log and the API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests import servers
from tests.certificates import DAY, NOW, made
from tests.conformance import test_opcua_security as security
from tests.integration.process import GatewayProcess, command, write
from tests.opcua_servers import program

NODE = f"nsu={servers.OpcUaRig.URI};s="
TAGS = {"temperature": {"node": f"{NODE}Temperature"}, "count": {"node": f"{NODE}Count"}}
WRONG = {
    "unknown": {"node": f"{NODE}Nothing"},
    "elsewhere": {"node": "nsu=urn:test:elsewhere;s=Temperature"},
    "astray": {"node": "/Objects/Nothing"},
    "folder": {"node": "i=85"},
}
BASIC = {"policy": "basic256sha256"}


@asynccontextmanager
async def speaker(text: bytes) -> AsyncIterator[int]:
    """A server that says this to everybody, whatever they say; give its port."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(text)
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def plant(folder: Path) -> AsyncIterator[Path]:
    """A configuration with a device for every mistake, and two that are right."""
    silent = servers.free_port()
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(servers.opcua())
        password = await stack.enter_async_context(
            security.secured(folder / "data", security.BASIC, (security.PASSWORD,))
        )
        security._SERVERS.clear()  # the next one is another
        old = made("old", since=NOW - 2 * DAY, until=NOW - DAY)
        stranger = await stack.enter_async_context(security.secured(folder / "data", certificate=old, trusted=False))
        await stack.enter_async_context(servers.black_hole(silent))
        http = await stack.enter_async_context(speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        mute = await stack.enter_async_context(speaker(b""))
        late = await stack.enter_async_context(program("asyncua"))
        await late.start({servers.OpcUaRig.URI: {"Temperature": 20.5, "Count": 7.0}}, ahead_s=-3600.0)
        secret = folder / "password"
        secret.write_text("wr0ng")
        devices: dict[str, dict[str, Any]] = {
            "good": {"connect": good.url},
            "nodes": {"connect": good.url, "tags": TAGS | WRONG},
            "late": {"connect": late.url},
            "password": {"connect": password.url(f"operator:${{file:{secret}}}"), "security": BASIC},
            "plain": {"connect": password.url()},
            "stranger": {"connect": stranger.url(), "security": BASIC},
            "absent": {"connect": f"opc.tcp://127.0.0.1:{servers.free_port()}"},
            "silent": {"connect": f"opc.tcp://127.0.0.1:{silent}"},
            "web": {"connect": f"opc.tcp://127.0.0.1:{http}"},
            "mute": {"connect": f"opc.tcp://127.0.0.1:{mute}"},
        }
        for name, keys in devices.items():
            devices[name] = {"asset": f"hall/{name}", "tags": TAGS, "timeout": "1s"} | keys
        config = {
            "site": {"enterprise": "acme", "site": "test"},
            "data_dir": str(folder / "data"),
            "bus": {"listen": f"127.0.0.1:{servers.free_port()}"},
            "api": {"listen": "127.0.0.1:0"},
            "devices": devices,
        }
        yield write(folder / "plant.yaml", config)


DISCOVER = "compare node and namespace URI with what gateway discover prints of this server"
TOLD = {
    "nodes": [
        f"unknown ({NODE}Nothing), elsewhere (nsu=urn:test:elsewhere;s=Temperature), astray (/Nothing):"
        f" BadNodeIdUnknown: {DISCOVER}",
        "folder (nsu=http://opcfoundation.org/UA/;i=85): BadAttributeIdInvalid: this node is no variable",
    ],
    "late": ["its clock is 36", " s behind ours", "set both clocks"],
    "password": ["the server refuses the user operator (BadUserAccessDenied): check user and password in connect"],
    "plain": ["the server does not offer none; it offers basic256sha256 sign_and_encrypt: set security.policy"],
    "stranger": ["it is not trusted", "gateway keys <configuration> --trust", "is valid from", "security.ignore"],
    "absent": ["111", "check address and port in connect, whether the server runs"],
    "silent": ["no answer within 1 s: check address and port in connect"],
    "web": ["the server hangs up", "check that it is OPC UA what answers at this port"],
    "mute": ["the server hangs up", "check that it is OPC UA what answers at this port"],
}
"""Parts of what is said about each device, always with its name in front."""
NO_HISTORY = "what is missed while the line is down is lost, for the server keeps no history that this user may read"


async def test_every_mistake_is_told_with_device_and_remedy_and_harms_no_other(tmp_path: Path) -> None:
    async with plant(tmp_path) as config:
        ended = await asyncio.to_thread(command, "check", str(config), "--connect", "--timeout", "6")
        log, devices, values = await asyncio.to_thread(run, config)
    assert ended.returncode == 1
    for name, parts in TOLD.items():
        checked = [line for line in ended.stdout.splitlines() if f"-> device {name}: " in line]
        logged = [line for line in log.splitlines() if f"device {name}: " in line or f"device {name} is lost: " in line]
        shown = [devices[name]["error"], *devices[name]["learned"].get("remarks", [])]
        for part in parts:
            assert any(part in line for line in checked), (name, part, checked)
            assert any(part in line for line in logged), (name, part, logged)
            assert any(part in text for text in shown), (name, part, shown)
    for shown in (ended.stdout.split("\n"), devices["good"]["learned"]["remarks"]):
        assert any(f"temperature ({NODE}Temperature), count ({NODE}Count): {NO_HISTORY}" in text for text in shown)
    assert NO_HISTORY not in log  # nothing has been missed: test_opcua_history.py
    assert "wr0ng" not in ended.stdout + log + json.dumps(devices)
    assert "Traceback" not in log
    assert values["good"] == {"temperature": 20.5, "count": 7}
    assert values["nodes"] == values["good"] | dict.fromkeys(WRONG)
    assert values["late"] == values["good"]
    assert (devices["good"]["counts"]["runs"], devices["nodes"]["counts"]["runs"]) == (1, 1)


def run(config: Path) -> tuple[str, dict[str, Any], dict[str, dict[str, Any]]]:
    """Run the gateway until every device has had its say; return log, devices and the latest values by device."""
    gateway = GatewayProcess(config)
    try:
        gateway.until(lambda: all(device["state"] != "connecting" for device in gateway.get("/api/v1/devices")))
        gateway.until(lambda: len(remarks(gateway, "nodes")) == 3 and len(remarks(gateway, "late")) == 2)
        devices = {device["name"]: device for device in gateway.get("/api/v1/devices")}
        values: dict[str, dict[str, Any]] = {name: {} for name in devices}
        for value in gateway.get("/api/v1/values"):
            device, name = value["path"].split("/")[-2:]
            values[device][name] = value["value"]
    finally:
        code, log = gateway.stop()
    assert code == 0
    return log, devices, values


def remarks(gateway: GatewayProcess, device: str) -> list[str]:
    found: list[str] = gateway.get(f"/api/v1/devices/{device}")["learned"].get("remarks", [])
    return found
