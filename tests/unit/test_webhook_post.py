"""One webhook over a real connection: what is sent, where it goes, where it does not, and answers of all kinds."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from standardwebhooks import WebhookVerificationError

from gateway.cloudevents import Event
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.letters import letter, request
from gateway.webhooks.post import Post
from gateway.webhooks.verdict import Answer
from tests.certificates import made
from tests.receiver import KEY, Got, answer, receiver

EVENT = letter(Event("acme/test/filler/alarms", "gw1-1-1-1", "2026-01-05T06:00:00.000000Z", {"Message": "hot"}))
OLD = b"the key of before, 24 byte"


def endpoint(port: int, *, scheme: str = "http", host: str = "127.0.0.1", path: str = "/hook", **more: Any) -> Endpoint:
    return Endpoint("erp", f"{scheme}://{host}:{port}{path}", (KEY, OLD), **{"private": True, "timeout_s": 5.0} | more)


async def sent(one: Endpoint, post: Post | None = None) -> Answer:
    headers, body = request(EVENT, one.keys, int(time.time()), binary=one.binary)
    return await (post or Post(one))(headers, body)


def says(*addresses: str) -> Any:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize("binary", [False, True])
async def test_a_receiver_believes_it_by_either_secret_and_by_no_other(binary: bool) -> None:
    async with receiver() as erp:
        one = endpoint(erp.port, path="/hook?plant=1", binary=binary, headers={"Authorization": "Bearer abc"})
        assert (await sent(one)).good
    (got,) = erp.got
    told = got.verified(KEY)
    assert got.verified(OLD) == told == ({"Message": "hot"} if binary else {**EVENT.attributes, "data": told["data"]})
    with pytest.raises(WebhookVerificationError):
        got.verified(b"another one")
    assert got.target == "/hook?plant=1"
    assert got.headers["host"] == f"127.0.0.1:{erp.port}"
    assert got.headers["authorization"] == "Bearer abc"
    assert datetime.fromisoformat(told["time"] if not binary else got.headers["ce-time"]).year == 2026


async def test_answers_are_taken_as_they_are_and_nothing_is_followed() -> None:
    async with receiver() as elsewhere:
        moved = answer(302, f"Location: http://127.0.0.1:{elsewhere.port}/")
        slow = answer(503, "Retry-After: 7", body=b"busy")
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + answer(200)
        async with receiver(moved, slow, early) as erp:
            found = [await sent(endpoint(erp.port)) for _ in range(3)]
    assert [one.status for one in found] == [302, 503, 200]
    assert (found[1].retry_after, found[1].words) == ("7", "it answers 503: busy")
    assert elsewhere.got == []


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as proxy, receiver() as erp:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await sent(endpoint(erp.port))).good
    assert proxy.got == []


async def test_of_a_body_without_end_only_the_beginning_is_read() -> None:
    written = 0

    async def endless(writer: asyncio.StreamWriter, got: Got) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 500 Whatever\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            written += 0x10000

    async with receiver(endless) as erp:
        found = await sent(endpoint(erp.port))
    assert (found.status, len(found.body)) == (500, 1024)
    assert written < 16 << 20, "what the sockets hold, not more"


async def hang(writer: asyncio.StreamWriter, got: Got) -> None:
    await asyncio.sleep(30)


async def drip(writer: asyncio.StreamWriter, got: Got) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Slow: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"", "it hung up without an answer"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "does not speak HTTP"),
        (hang, "no answer within 0.3 s"),
        (drip, "no answer within 0.3 s"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_said_in_words(says: Any, error: str) -> None:
    async with receiver(says) as erp:
        with pytest.raises(OSError, match=error):
            await sent(endpoint(erp.port, timeout_s=0.3 if "within" in error else 5.0))


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await sent(endpoint(taken.getsockname()[1]))


# --- where it does not go -----------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "0x7f.1", "0177.0.0.1"])
async def test_this_machine_is_not_asked_without_leave(host: str) -> None:
    async with receiver() as erp:
        with pytest.raises(PermissionError, match=r"loopback, which webhooks\.erp.allow_private does not allow"):
            await sent(endpoint(erp.port, host=host, private=False))
        assert erp.got == []


async def test_it_goes_to_the_address_that_was_checked_whatever_the_name_says_next() -> None:
    asked = 0

    async def rebinding(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.2"] if asked == 1 else ["127.0.0.1"]

    async with receiver() as erp:
        allowed = endpoint(erp.port, host="rebind.example", private=False, networks=[ip_network("127.0.0.2/32")])
        with pytest.raises(ConnectionRefusedError):  # nobody listens at 127.0.0.2
            await sent(allowed, Post(allowed, rebinding))
        assert (asked, erp.got) == (1, [])
        with pytest.raises(PermissionError):
            await sent(allowed, Post(allowed, rebinding))
        assert (asked, erp.got) == (2, [])


async def test_of_several_addresses_those_are_tried_that_may_be_asked() -> None:
    async with receiver() as erp:
        one = endpoint(erp.port, host="many.example", private=False, networks=[ip_network("127.0.0.0/24")])
        assert (await sent(one, Post(one, says("169.254.169.254", "10.0.0.1", "127.0.0.2", "127.0.0.1")))).good
    with pytest.raises(ConnectionError, match="has no address"):
        await sent(one, Post(one, says()))


# --- TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="tls")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the CA that vouches for it."""
    folder = tmp_path_factory.mktemp("tls")
    server = made(dns=("erp.example",), ip=())
    pem, key = folder / "server.pem", server.write_key(folder / "server.key")
    pem.write_bytes(server.certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return context, pem


async def test_tls_is_told_the_name_and_believes_only_who_has_it(tls: tuple[ssl.SSLContext, Path]) -> None:
    context, ca = tls
    here = says("127.0.0.1")
    async with receiver(tls=context) as erp:
        good = endpoint(erp.port, scheme="https", host="erp.example", ca=str(ca))
        assert (await sent(good, Post(good, here))).good
        assert (erp.names, erp.got[0].headers["host"]) == (["erp.example"], f"erp.example:{erp.port}")
        wrong = endpoint(erp.port, scheme="https", host="other.example", ca=str(ca))
        strange = endpoint(erp.port, scheme="https", host="erp.example")
        for one in (wrong, strange):
            with pytest.raises(ssl.SSLCertVerificationError):
                await sent(one, Post(one, here))
        assert len(erp.got) == 1
