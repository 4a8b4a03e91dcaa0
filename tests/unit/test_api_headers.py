"""What browsers, proxies and wires are told: security headers, other pages, who is believed, TLS, ends of streams."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api.access import Client
from api.app import create
from gateway.config import Api
from gateway.ports import listener
from gateway.serving import serving, tls_context
from tests.certificates import made, made_ca, rsa_key
from tests.drive import Hall, Still, served, shown
from tests.i3x import Hand

TOKEN = "viewer-0123456789abcdef"
CLIENTS = {"viewer": Client(TOKEN, "viewer")}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
GRAFANA = "https://grafana.example:3000"


@asynccontextmanager
async def wired(
    folder: Path, clients: dict[str, Client], clock: Any = None, **wire: Any
) -> AsyncIterator[tuple[Hall, str]]:
    """The API behind its real server; the hall, and where it listens."""
    hall = Hall(clock or Still())
    with shown(hall, folder, clock or Still()) as (view, _), listener("127.0.0.1", 0) as socket:
        async with serving(create(view, clients), socket, **wire):
            yield hall, f"127.0.0.1:{socket.getsockname()[1]}"


async def test_every_answer_tells_a_browser_to_be_careful(tmp_path: Path) -> None:
    async with served(Hall(Still()), tmp_path, CLIENTS) as http:
        for path in ("/", "/docs", "/livez", "/api/v1/tags", "/api/v1/nowhere", "/i3x/v1/info", "/i3x/v1/objects"):
            answer = await http.get(path)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy
            assert "default-src 'self'" in policy
            assert ("unsafe-inline" in policy) == (path == "/docs")
            assert "access-control-allow-origin" not in answer.headers
            assert "strict-transport-security" not in answer.headers


async def test_scripts_of_other_pages_are_let_in_by_name_only(tmp_path: Path) -> None:
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for keys, origin, allowed in (
        ({}, GRAFANA, None),
        ({"cors": [GRAFANA]}, GRAFANA, GRAFANA),
        ({"cors": [GRAFANA]}, "https://evil.example", None),
        ({"cors": [GRAFANA]}, "null", None),
        ({"cors": [GRAFANA]}, f"{GRAFANA}.evil.example", None),
    ):
        async with served(Hall(Still()), tmp_path, CLIENTS, keys=Api.model_validate(keys)) as http:
            before = await http.options("/api/v1/tags", headers={"Origin": origin} | asks)
            assert before.headers.get("access-control-allow-origin") == allowed
            answer = await http.get("/api/v1/tags", headers={"Origin": origin} | BEARER)
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert "access-control-allow-credentials" not in answer.headers
            assert (await http.get("/api/v1/tags", headers={"Origin": origin})).status_code == 401


@pytest.mark.parametrize("origin", ["*", "null", "grafana.example", "https://grafana.example/", "https://*.example"])
def test_an_origin_of_the_configuration_is_one(origin: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Api.model_validate({"cors": [origin]})


async def test_for_whom_a_proxy_asks_is_believed_of_those_that_are_named(tmp_path: Path) -> None:
    lies = {"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https"}
    for proxies, address in (((), "127.0.0.1"), (["127.0.0.0/8"], "10.9.9.9"), (["10.0.0.0/8"], "127.0.0.1")):
        async with wired(tmp_path, CLIENTS, proxies=proxies) as (hall, where), httpx.AsyncClient() as http:
            answer = await http.get(f"http://{where}/api/v1/tags", headers=lies)
            assert answer.status_code == 401
            assert ("strict-transport-security" in answer.headers) == (address != "127.0.0.1")
            assert [one.address for one in hall.audit.entries] == [address]


async def test_the_api_speaks_tls_and_nothing_older(tmp_path: Path) -> None:
    ca = made_ca()
    server = made(issuer=ca, key=rsa_key(2))
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "server.pem").write_bytes(server.certificate.public_bytes(Encoding.PEM))
    key = server.write_key(tmp_path / "key.pem")
    tls = tls_context(str(tmp_path / "server.pem"), str(key))
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    async with wired(tmp_path, CLIENTS, tls=tls) as (_, where):
        async with httpx.AsyncClient(verify=trusting) as http:
            answer = await http.get(f"https://{where}/api/v1/tags", headers=BEARER)
            assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
        async with httpx.AsyncClient() as http:
            for scheme in ("http", "https"):  # as it is, and by a certificate that nobody vouches for
                with pytest.raises(httpx.TransportError):
                    await http.get(f"{scheme}://{where}/livez")
    assert tls.minimum_version == ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match="no certificate and its key"):
        tls_context(str(tmp_path / "ca.pem"), str(key))


async def test_a_stream_ends_when_whoever_asked_for_it_may_no_longer(tmp_path: Path) -> None:
    clock = Hand()
    soon = {"soon": Client(TOKEN, "viewer", clock.now_ns() + 200_000_000)}
    async with wired(tmp_path, soon, clock) as (_, where), httpx.AsyncClient(timeout=30) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await http.get(f"http://{where}/api/v1/stream", headers=BEARER)
