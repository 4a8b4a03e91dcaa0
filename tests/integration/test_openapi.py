"""The served OpenAPI document says what the API does: schemathesis asks for all that it allows, and what it does not.

What broken HTTP is answered is asked here as well, for no document says it.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from gateway.bench import pipeline
from tests.integration.process import GatewayProcess, plant, running, write

ROOT = Path(__file__).parents[2]
TOKEN = "engineer-0123456789abcdef"
BROKEN = {
    "no HTTP": b"what is this?\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a negative length": b"POST /api/v1/writes HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /api/v1/writes HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a chunk of no length": b"POST /api/v1/writes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a NUL": b"GET /livez HTTP/1.1\r\nHost: x\r\nFoo: a\0b\r\n\r\n",
    "another version": b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
    "a method that nobody knows": b"FETCH /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without an end": b"GET /livez HTTP/1.1\r\nHost: " + b"x" * 70_000,
    "a path without an end": b"GET /" + b"x" * 70_000,
    "headers without an end": b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 12_000,
}


ALARMS = {"rules": {"any": {"tag": "hall/*/v*", "rate": {"rise": 1}}}}
SIGNALS = {
    "leak": {"type": "drift", "input": "hall/device0/v0", "warm_up": 5, "on": 1},
    "well": {"type": "health", "asset": "hall/device0", "signals": ["leak"]},
    "tips": {"type": "advice", "asset": "hall/device0", "signals": ["leak"]},
}


@pytest.fixture(scope="module", params=["open", "token"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with readings, history and a work unit, for all who reach it and for those who have a token."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    tokens = {"erp": {"token": f"${{file:{folder / 'token'}}}", "role": "engineer"}} if request.param == "token" else {}
    with pipeline.devices(2, 5) as ports:
        api = {"listen": "127.0.0.1:0", "tokens": tokens, "rate": 1000}
        unit = {"asset": "hall/device0", "state": "v0", "standard": "running", "produced": "stamp", "energy": "v1"}
        made = {"shifts": {"day": {"start": "06:00", "end": "22:00"}}, "units": {"filler": unit}}
        keys = plant(folder, ports, bus=None, api=api, signals=SIGNALS, production=made, alarms=ALARMS)
        with running(write(folder / "plant.yaml", keys)) as one:
            one.until(lambda: bool(asked(one, "/api/v1/history/hall/device0/v0")["readings"]))
            yield one


def asked(gateway: GatewayProcess, path: str) -> dict[str, list[object]]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(gateway.ready["api"] + path, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("gateway", ["token"], indirect=True)
def test_the_document_is_true(gateway: GatewayProcess, tmp_path: Path) -> None:
    """A thousand requests: the corners of every parameter, and whatever else may be sent."""
    asked_whatever_may_be(gateway.ready["api"], tmp_path)


@pytest.mark.parametrize("gateway", ["open"], indirect=True)
def test_i3x_takes_anything(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Its document has the requests only: the answers are the standard's, and tested by its rules."""
    checks = "not_a_server_error,negative_data_rejection,allow_header_conformance"
    options = ["--exclude-path", "/subscriptions/stream", "--phases", "coverage", "--checks", checks]
    asked_whatever_may_be(f"{gateway.ready['api']}/i3x/v1", tmp_path, *options)


def asked_whatever_may_be(url: str, folder: Path, *options: str) -> None:
    script = Path(sys.executable).with_name("schemathesis")
    command = [script, "--config-file", ROOT / "tests/integration/openapi.toml", "run", f"{url}/openapi.json"]
    ran = subprocess.run(
        [*map(str, command), "--url", url, "--header", f"Authorization: Bearer {TOKEN}", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("what", BROKEN)
def test_broken_http_is_a_problem_and_the_end(gateway: GatewayProcess, what: str) -> None:
    host, _, port = gateway.ready["api"].removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(BROKEN[what])
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert orjson.loads(body)["status"] == 400
