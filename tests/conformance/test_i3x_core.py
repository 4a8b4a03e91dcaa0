"""i3X 1.0: what holds for every answer. Server info, envelopes, gzip, tokens, errors; never a 500, whatever comes."""

import gzip
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.i3x import DRIVE, PRESS, Floor, floor, refusal, result

TOKENS = {"erp": "erp-0123456789abcdef"}
GETS = ("/info", "/namespaces", "/objecttypes", "/relationshiptypes", "/objects")
POSTS = (
    *("/objecttypes/query", "/relationshiptypes/query", "/objects/list", "/objects/related", "/objects/value"),
    *("/objects/history", "/subscriptions", "/subscriptions/list", "/subscriptions/delete"),
    *("/subscriptions/register", "/subscriptions/unregister", "/subscriptions/sync", "/subscriptions/stream"),
)
PUTS = ("/objects/value", "/objects/history")
REQUESTS = [*(("GET", path) for path in GETS), *(("POST", path) for path in POSTS), *(("PUT", path) for path in PUTS)]


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path) as one:
        yield one


async def test_info_says_what_the_server_can_do(plant: Floor) -> None:
    info = await plant.got("/info")
    assert info["specVersion"] == "1.0"
    assert info["capabilities"] == {
        "query": {"history": True},
        "update": {"current": True, "history": True},
        "subscribe": {"stream": True},
    }
    assert not {"alpha", "beta"} & set(info["serverVersion"].lower().split("."))


async def test_without_a_historian_info_says_so(tmp_path: Path) -> None:
    async with floor(tmp_path, history=False) as plant:
        capabilities = (await plant.got("/info"))["capabilities"]
        assert capabilities["query"] == {"history": False}
        assert capabilities["update"] == {"current": True, "history": False}


@pytest.mark.parametrize("path", [*GETS, "/nothing"])
async def test_an_answer_is_compressed_however_short(plant: Floor, path: str) -> None:
    async with plant.http.stream("GET", path, headers={"Accept-Encoding": "br, gzip"}) as answer:
        body = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(body)
    plain = await plant.http.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(body) == plain.content
    assert plain.status_code == answer.status_code


async def test_a_long_answer_is_compressed_as_well(plant: Floor) -> None:
    ids = [f"nobody-{k}" for k in range(5000)]
    items = await plant.bulk("/objects/list", elementIds=ids)
    assert len(items) == 5000


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_only_info_needs_no_token(tmp_path: Path, method: str, path: str) -> None:
    async with floor(tmp_path, tokens=TOKENS) as plant:
        for headers in ({}, {"Authorization": "Bearer erp-0123456789abcdeg"}, {"Authorization": "Basic ZXJwOnB3"}):
            answer = await plant.http.request(method, path, headers=headers)
            if path == "/info":
                assert result(answer)
            else:
                assert refusal(answer)[0] == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["content-encoding"] == "gzip"
        mine = {"Authorization": f"Bearer {TOKENS['erp']}"}
        assert (await plant.http.get("/namespaces", headers=mine)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404), ("GET", "/objects/value", 405), ("DELETE", "/objects", 405), ("PUT", "/info", 405),
        ("POST", "/subscriptions/forget", 404), ("GET", "/", 404),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_refused_in_the_envelope(plant: Floor, method: str, path: str, status: int) -> None:
    assert refusal(await plant.http.request(method, path))[0] == status


@pytest.mark.parametrize("content", ["{", "", "nul", "[" * 100_000, '{"elementIds": [1e999]}', "\xff", '"\\ud800"'])
@pytest.mark.parametrize("path", POSTS)
async def test_a_body_that_is_none_is_a_400(plant: Floor, path: str, content: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert refusal(await plant.http.post(path, content=content.encode("latin-1"), headers=headers))[0] == 400


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""]
)
async def test_a_form_of_another_page_is_not_json(plant: Floor, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    content = b'{"updates": [{"elementId": "acme", "value": {"value": null}}]}'
    assert refusal(await plant.http.put("/objects/value", content=content, headers=headers))[0] == 400


async def test_a_body_has_an_end(plant: Floor) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b" " * (1 << 20)

    headers = {"Content-Type": "application/json"}
    assert refusal(await plant.http.post("/objects/list", content=endless(), headers=headers))[0] == 413


async def test_keys_that_are_not_known_are_ignored(plant: Floor) -> None:
    (item,) = await plant.bulk("/objects/list", elementIds=[DRIVE], future=1, includeMetadata=None)
    assert item["success"]


ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        2**63,
        -(2**64),
        10**400,
        0.5,
        1e308,
        "",
        "x",
        "Good",
        "\ud800",
        "\x00",
        "ü" * 300,
    ),
    *([], {}, [[]], [None], {"a": 1}, {"value": None}, {"value": 1, "quality": "Superb"}),
    *("2026-01-05T06:00:00Z", "2026-01-05T06:00:00+14:00", "2026-13-05T06:00:00Z", "0001-01-01T00:00:00Z", "now"),
    *("9999-12-31T23:59:59Z", "2026-01-05T06:00:00.1234567891Z", "1969-07-20T20:17:40Z", "٢٠٢٦-01-05T06:00:00Z"),
    *([DRIVE], [PRESS, PRESS], [f"{DRIVE}/speed", "nobody"], DRIVE, "HasParent", ["\ud800"]),
]
KEYS = [
    *("elementIds", "includeMetadata", "relationshipType", "maxDepth", "startTime", "endTime", "clientId"),
    *("subscriptionId", "subscriptionIds", "lastSequenceNumber", "displayName", "updates"),
]


def odd_update(chance: random.Random) -> Any:
    told = {key: chance.choice(ODD) for key in ("value", "quality", "timestamp") if chance.random() < 0.7}
    return {"elementId": chance.choice([DRIVE, f"{DRIVE}/speed", f"{PRESS}/closed", "x", 7]), "value": told}


def plausible(chance: random.Random, subscription: str) -> dict[str, Any]:
    """A body that is right in most of its parts."""
    body = {
        "elementIds": [DRIVE, f"{PRESS}/state"], "startTime": "2026-01-05T05:00:00Z", "endTime": "2026-01-05T06:00:00Z",
        "clientId": "fuzz", "subscriptionId": subscription, "subscriptionIds": ["x"], "updates": [odd_update(chance)],
    }  # fmt: skip
    return body | {key: chance.choice(ODD) for key in chance.sample(KEYS, chance.randint(0, 2))}


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_asked_is_answered_or_refused(plant: Floor, seed: int) -> None:
    """In an envelope of the standard, and never as a 500."""
    chance = random.Random(seed)
    made = await plant.single("/subscriptions", clientId="fuzz")
    headers = {"Content-Type": "application/json"}
    for _ in range(150):
        method, path = chance.choice(REQUESTS)
        plant.emit(f"{DRIVE}/speed", chance.random())
        if path == "/subscriptions/stream":
            continue
        content = None if method == "GET" else json.dumps(plausible(chance, made["subscriptionId"]))
        keys = ("namespaceUri", "typeElementId", "includeMetadata", "root")
        params = {key: json.dumps(chance.choice(ODD)) for key in keys if chance.random() < 0.2}
        answer = await plant.http.request(method, path, content=content, params=params, headers=headers)
        assert answer.status_code in (200, 206, 400, 404), (method, path, content, answer.text)
        body = answer.json()
        if answer.status_code >= 400:
            refusal(answer)
        else:
            assert ("result" in body) != ("results" in body)
            assert all(item["success"] or item["responseDetail"]["status"] < 500 for item in body.get("results", []))


@pytest.mark.brings_bugs
async def test_a_bug_is_a_500_in_the_envelope(plant: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.i3x.app.current", None)
    answer = await plant.http.post("/objects/value", json={"elementIds": [DRIVE]})
    assert refusal(answer) == (500, "the gateway made a mistake; its log has the details")


async def test_the_document_of_the_interface_is_there(plant: Floor) -> None:
    document = (await plant.http.get("/openapi.json")).json()
    assert {f"{path}" for path in document["paths"]} == {path for _, path in REQUESTS}


def test_httpx_takes_gzip() -> None:
    """Else the tests above would not see what a client does."""
    assert "gzip" in httpx.Client().headers["accept-encoding"]
