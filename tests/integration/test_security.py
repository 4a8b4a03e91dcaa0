"""The shipped command with users, TLS and an audit trail that has to survive SIGKILL; no secret is anywhere."""

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import httpx
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.mqtt import Message, connect
from tests import servers
from tests.certificates import made, made_ca, rsa_key
from tests.integration.process import GatewayProcess, command, write
from tests.integration.test_commands import SPEED, soon
from tests.integration.test_writes import configuration, drive

PASSWORD = "correct horse battery"
GUESS = "battery horse correct"
TOKEN = "engineer-token-0123456789"


def secured(folder: Path, modbus: int, broker: str) -> dict[str, Any]:
    """A configuration with a user who writes, a token, and a certificate that is in the folder then."""
    ca = made_ca()
    server = made(issuer=ca, key=rsa_key(2))
    (folder / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(server.certificate.public_bytes(Encoding.PEM))
    server.write_key(folder / "key.pem")
    (folder / "alice").write_text(argon2.PasswordHasher(time_cost=1, memory_cost=19_456).hash(PASSWORD) + "\n")
    config: dict[str, Any] = configuration(folder, modbus)
    return config | {
        "bus": {"url": broker, "writes": True},
        "api": {
            "listen": "127.0.0.1:0",
            "tokens": {"eng": {"token": "${ENG_TOKEN}", "role": "engineer"}},
            "users": {"alice": {"password": f"${{file:{folder / 'alice'}}}", "role": "operator"}},
            "writers": ["alice"],
            "tls": {"cert": str(folder / "server.pem"), "key": str(folder / "key.pem")},
        },
    }


async def until(http: httpx.AsyncClient, path: str, headers: dict[str, str], true: Callable[[Any], bool]) -> Any:
    """Ask again and again until something is true of an answer. Raises TimeoutError."""
    async with asyncio.timeout(30):
        while True:
            found = (await http.get(path, headers=headers)).json()
            if true(found):
                return found


async def test_who_did_what_is_known_after_a_crash_and_no_secret_is(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("ENG_TOKEN", TOKEN)
    trusting = ssl.create_default_context()
    eng = {"Authorization": f"Bearer {TOKEN}"}
    with servers.mosquitto(tmp_path) as broker:
        async with drive() as device, connect(broker.url, "mes") as mqtt:
            config = secured(tmp_path, device.port, broker.url)
            path = write(tmp_path / "plant.yaml", config)
            trusting.load_verify_locations(tmp_path / "ca.pem")
            gateway = await asyncio.to_thread(GatewayProcess, path)
            assert gateway.ready["api"].startswith("https://")
            async with httpx.AsyncClient(base_url=gateway.ready["api"], verify=trusting, timeout=30) as http:
                await until(http, "/api/v1/devices/drive", eng, lambda device: device["state"] == "up")
                wrong = await http.post("/api/v1/login", json={"user": "alice", "password": GUESS})
                assert wrong.status_code == 401
                session = (await http.post("/api/v1/login", json={"user": "alice", "password": PASSWORD})).json()[
                    "token"
                ]
                wish = {"id": "w1", "tag": "hall/drive/speed", "value": 120}
                alice = {"Authorization": f"Bearer {session}"}
                assert (await http.post("/api/v1/writes", json=wish, headers=alice)).status_code == 200
                assert (await http.post("/api/v1/writes", json=wish | {"id": "w2"}, headers=eng)).status_code == 403
                order = json.dumps({"id": "m1", "value": 50, "expires": soon()}).encode()
                await mqtt.publish([Message(f"{SPEED}/_set", order)])
                await until(http, "/api/v1/audit?who=MQTT", eng, lambda page: page["records"])
                records = (await http.get("/api/v1/audit", headers=eng)).json()["records"]
            stderr = await asyncio.to_thread(gateway.kill)
    told = [(one["who"], one["how"], one["action"], one["outcome"]) for one in reversed(records)]
    assert [one for one in told if one[2] != "export"] == [
        ("", "", "login", "refused"),
        ("alice", "password", "login", "done"),
        ("alice", "session", "write", "done"),
        ("eng", "token", "write", "refused"),
        ("MQTT", "", "write", "done"),
    ]
    trail = next((tmp_path / "data" / "audit").glob("*.jsonl"))
    whole = trail.read_bytes()
    trail.write_bytes(whole[:-20])
    assert command("audit", "verify", str(path)).returncode == 0
    trail.write_bytes(whole.replace(b'"who":"MQTT"', b'"who":"mqtt"'))
    found = command("audit", "verify", str(path))
    assert (found.returncode, "its hash is not that of its text" in found.stderr) == (1, True)
    written = b"".join(one.read_bytes() for one in (tmp_path / "data").rglob("*") if one.is_file()) + stderr.encode()
    for secret in (PASSWORD, GUESS, TOKEN, session):
        assert secret.encode() not in written
