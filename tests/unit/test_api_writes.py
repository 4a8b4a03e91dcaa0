"""Writes over HTTP: which answer for which result, who may, and what is no write at all."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.contracts import DeviceError
from gateway.model import Quality
from tests.drive import SPEED, Hall, Still, served

TOKENS = {"erp": "erp-0123456789abcdef", "spy": "spy-0123456789abcdef"}
WISH = {"id": "a", "tag": "hall/drive/speed", "value": 120}
LATER = "2026-01-05T06:00:05Z"


class Desk:
    """A gateway's API with a client in front of it and a drive behind it."""

    def __init__(self, hall: Hall, http: httpx.AsyncClient) -> None:
        self.hall = hall
        self.http = http

    async def post(self, who: str = "erp", **keys: Any) -> httpx.Response:
        headers = bearer(who) | {"Content-Type": "application/json"}
        return await self.http.post("/api/v1/writes", content=json.dumps(WISH | keys), headers=headers)

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path, headers=bearer("spy"))


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[who]}"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async for one in desks(tmp_path, TOKENS):
        yield one


async def desks(folder: Path, tokens: dict[str, str]) -> AsyncIterator[Desk]:
    hall = Hall(Still())
    async with served(hall, folder, tokens) as http:
        yield Desk(hall, http)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and detail of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["detail"]


async def test_a_write_that_is_done_says_what_the_device_has(desk: Desk) -> None:
    answer = await desk.post(expires=LATER)
    assert answer.status_code == 200
    body = answer.json()
    assert body == {
        "id": "a", "tag": SPEED, "status": "done", "code": "Good", "detail": "", "value": 120, "read_back": 120,
        "time": "2026-01-05T06:00:00.000000Z",
    }  # fmt: skip
    assert desk.hall.drive.written == [(0, 120)]


async def test_a_result_can_be_asked_for_by_whoever_may_read(desk: Desk) -> None:
    done = await desk.post()
    assert (await desk.get("/api/v1/writes/a")).json() == done.json()
    assert problem(await desk.get("/api/v1/writes/b")) == (404, "no write b is remembered")
    refused = await desk.post(id="b", value=999)
    assert (await desk.get("/api/v1/writes/b")).json() == refused.json()["write"]


async def test_the_same_request_again_is_the_same_answer(desk: Desk) -> None:
    first, again = await desk.post(), await desk.post()
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(desk.hall.drive.written) == 1


@pytest.mark.parametrize(
    ("keys", "status", "detail"),
    [
        ({"who": "spy"}, 403, "spy is not one of api.writers"),
        ({"tag": "hall/drive/torque"}, 403, "its configuration has no write: true"),
        ({"tag": "hall/drive/sped"}, 404, "there is no tag 'hall/drive/sped'"),
        ({"expires": "2026-01-05T05:59:59Z"}, 410, "it had expired 1.000 s before it came"),
        ({"expires": "tomorrow"}, 422, "expires: 'tomorrow' is no time"),
        ({"expires": "2026-01-05T06:00:05"}, 422, "has no offset"),
        ({"value": 200.5}, 422, "200.5 is outside the limits of"),
        ({"value": True}, 422, "takes a number, not True"),
        ({"value": None}, 422, "the value must be a number, a text, true or false"),
        ({"value": {"a": [1]}}, 422, "the value must be a number, a text, true or false"),
        ({"value": 10**400}, 422, "the value is an integer of 1329 bits"),
        ({"tag": "\x00\n"}, 404, r"there is no tag '\x00\n'"),
        ({"tag": "\ud800"}, 422, ""),
        ({"tag": "hall/drive/recipe", "value": "\ud800"}, 409, ""),
        ({"tag": "x" * 501}, 422, "tag: String should have at most 500 characters"),
        ({"id": "a b"}, 422, "id: String should match pattern"),
        ({"id": 7}, 422, "id: Input should be a valid string"),
        ({"expire": LATER}, 422, "expire: Extra inputs are not permitted"),
    ],
)
async def test_what_is_refused_is_a_problem(desk: Desk, keys: dict[str, Any], status: int, detail: str) -> None:
    desk.hall.drive.keeps = lambda value: value.encode("utf-8", "replace").decode()  # what a device makes of a text
    found, said = problem(await desk.post(**keys))
    assert found == status
    assert detail in said
    assert len(desk.hall.drive.written) == (status == 409)


async def test_an_id_is_for_one_request(desk: Desk) -> None:
    await desk.post()
    assert problem(await desk.post(value=121)) == (409, "the id a was given to another request")


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (TimeoutError("no answer within 1 s"), 504),
        (ConnectionResetError("gone"), 504),
        (DeviceError("exception 4 to function 6", Quality.BAD_DEVICE_FAILURE), 502),
        (ValueError("120 is between two steps"), 422),
    ],
)
async def test_what_goes_wrong_at_the_device_is_a_problem(desk: Desk, trouble: Exception, status: int) -> None:
    desk.hall.drive.trouble = trouble
    answer = await desk.post()
    found, said = problem(answer)
    assert (found, answer.json()["write"]["detail"]) == (status, said)
    assert str(trouble) in said


@pytest.mark.parametrize(
    ("kept", "told"), [(50.5, 50.5), (float("nan"), None), (2**64 - 1, str(2**64 - 1)), ("\ud800", "?"), (None, None)]
)
async def test_a_device_that_has_another_value_is_a_conflict(desk: Desk, kept: Any, told: Any) -> None:
    desk.hall.drive.keeps = lambda value: kept
    answer = await desk.post()
    assert problem(answer)[0] == 409
    assert (answer.json()["write"]["value"], answer.json()["write"]["read_back"]) == (120, told)


async def test_a_device_that_is_away_is_said_at_once(desk: Desk) -> None:
    desk.hall.health.state = "down"
    assert problem(await desk.post()) == (503, "the device drive is away: down")


@pytest.mark.brings_bugs
async def test_a_bug_of_a_connector_is_an_answer_and_is_not_repeated(desk: Desk) -> None:
    desk.hall.drive.trouble = KeyError("x")
    assert (await desk.post()).status_code == 500
    assert (await desk.post()).status_code == 504
    assert len(desk.hall.drive.written) == 1


# --- what is no write ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"id":"a","tag":"hall/drive/speed","value":120}', "text/plain", 415),
        (b'{"id":"a","tag":"hall/drive/speed","value":120}', "application/x-www-form-urlencoded", 415),
        (b'{"id":"a","tag":"hall/drive/speed","value":120}', "application/vnd.api+json", 415),
        (b'{"id":"a","tag":"hall/drive/speed","value":120}', None, 415),
        (b'{"id":"a","tag":"hall/drive/speed","value":120', "application/json", 422),
        (b"[]", "application/json", 422),
        (b"", "application/json", 422),
        (b'{"id":"a","tag":"hall/drive/speed","value":NaN}', "application/json", 422),
        (b'{"id":"a","tag":"hall/drive/speed","value":1e999}', "application/json", 422),
        (b'{"id":"a","tag":"hall/drive/speed","value":' + b"9" * 5000 + b"}", "application/json", 400),
        (b" " * 20_000, "application/json", 413),
    ],
)
async def test_only_short_json_is_accepted(desk: Desk, content: bytes, kind: str | None, status: int) -> None:
    headers = bearer("erp") | ({} if kind is None else {"Content-Type": kind})
    answer = await desk.http.post("/api/v1/writes", content=content, headers=headers)
    assert problem(answer)[0] == status
    assert desk.hall.drive.written == []


async def test_a_charset_does_no_harm(desk: Desk) -> None:
    headers = bearer("erp") | {"Content-Type": "application/json; charset=utf-8"}
    content = b'{"id":"a","tag":"hall/drive/speed","value":120}'
    assert (await desk.http.post("/api/v1/writes", content=content, headers=headers)).status_code == 200


async def test_a_body_of_unknown_length_is_not_read(desk: Desk) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        raise AssertionError("somebody reads on")

    headers = bearer("erp") | {"Content-Type": "application/json"}
    answer = await desk.http.post("/api/v1/writes", content=endless(), headers=headers)
    assert problem(answer) == (411, "send Content-Length")


async def test_without_a_token_nobody_writes(desk: Desk) -> None:
    assert problem(await desk.http.post("/api/v1/writes", json=WISH))[0] == 401
    wrong = {"Authorization": "Bearer erp-0123456789abcdeg"}
    assert problem(await desk.http.post("/api/v1/writes", json=WISH, headers=wrong))[0] == 401
    assert desk.hall.drive.written == []


async def test_a_gateway_without_tokens_is_never_written(tmp_path: Path) -> None:
    async for desk in desks(tmp_path, {}):
        assert problem(await desk.post()) == (403, "nobody is not one of api.writers")
        assert desk.hall.drive.written == []


# --- what is said of it -------------------------------------------------------------------


async def test_tags_say_whether_and_within_which_limits_they_are_written(desk: Desk) -> None:
    speed = (await desk.get("/api/v1/tags/hall/drive/speed")).json()
    torque = (await desk.get("/api/v1/tags/hall/drive/torque")).json()
    assert (speed["writable"], speed["limits"]) == (True, [0.0, 200.0])
    assert not {"writable", "limits"} & set(torque)


async def test_the_document_has_the_routes_with_examples(desk: Desk) -> None:
    document = (await desk.get("/openapi.json")).json()
    route = document["paths"]["/api/v1/writes"]["post"]
    assert {"200", "401", "403", "404", "409", "410", "422", "502", "503", "504"} <= set(route["responses"])
    assert document["components"]["schemas"]["Wish"]["properties"]["value"]["examples"] == [120]
    assert "get" in document["paths"]["/api/v1/writes/{id}"]
