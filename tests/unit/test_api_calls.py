"""Calls over HTTP: which answer for which result, and what is no call at all."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.model.method import Called
from tests.drive import SITE, Hall, Still, served
from tests.unit.test_api_writes import TOKENS, Desk, bearer, problem

WISH = {"id": "a", "method": "hall/drive/move", "arguments": {"Position": 120, "Mode": "fast", "Enable": True}}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    hall = Hall(Still())
    async with served(hall, tmp_path, TOKENS) as http:
        yield Desk(hall, http)


async def post(desk: Desk, who: str = "erp", **keys: Any) -> Any:
    headers = bearer(who) | {"Content-Type": "application/json"}
    return await desk.http.post("/api/v1/calls", content=json.dumps(WISH | keys), headers=headers)


async def test_a_call_that_is_done_says_what_the_device_returned(desk: Desk) -> None:
    desk.hall.drive.says = Called(0, "Good", {"Position": "Good"}, {"Steps": 2**60, "Free": float("nan")})
    answer = await post(desk)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "a", "method": f"{SITE}/hall/drive/move", "status": "done", "code": "Good", "detail": "",
        "arguments": WISH["arguments"], "argument_results": {"Position": "Good"},
        "outputs": {"Steps": str(2**60), "Free": None}, "time": "2026-01-05T06:00:00.000000Z",
    }  # fmt: skip
    assert (await desk.get("/api/v1/calls/a")).json() == answer.json()
    assert problem(await desk.get("/api/v1/writes/a")) == (404, "no write a is remembered")


async def test_what_the_device_refuses_has_its_own_code(desk: Desk) -> None:
    desk.hall.drive.says = Called(0x80AF_0000, "BadInvalidState")
    answer = await post(desk)
    assert problem(answer) == (502, "the device refused it: BadInvalidState")
    assert answer.json()["call"]["code"] == "BadInvalidState"


async def test_without_an_answer_it_is_unknown(desk: Desk) -> None:
    desk.hall.drive.trouble = TimeoutError("no answer within 4 s")
    answer = await post(desk)
    assert problem(answer)[0] == 504
    assert (answer.json()["call"]["status"], answer.json()["call"]["code"]) == ("unknown", "BadTimeout")


@pytest.mark.parametrize(
    ("keys", "status", "detail"),
    [
        ({"who": "spy"}, 403, "spy is not one of api.writers"),
        ({"method": "hall/drive/stop"}, 404, "there is no method 'hall/drive/stop'"),
        ({"arguments": {"Position": 900, "Mode": "fast", "Enable": True}}, 422, "900 is outside its limits"),
        ({"arguments": {}}, 422, "name each of them"),
        ({"arguments": [1]}, 422, "arguments: Input should be a valid dictionary"),
        ({"arguments": {str(i): 1 for i in range(33)}}, 422, "at most 32 items"),
        ({"arguments": {"\ud800": 1}}, 422, ""),
        ({"expires": "2026-01-05T05:59:59Z"}, 410, "it had expired 1.000 s before it came"),
        ({"tag": "x"}, 422, "tag: Extra inputs are not permitted"),
    ],
)
async def test_what_is_refused_is_a_problem(desk: Desk, keys: dict[str, Any], status: int, detail: str) -> None:
    found, said = problem(await post(desk, **keys))
    assert found == status
    assert detail in said
    assert desk.hall.drive.called == []


async def test_a_call_that_nobody_made_is_not_there(desk: Desk) -> None:
    assert problem(await desk.get("/api/v1/calls/a")) == (404, "no call a is remembered")
    await desk.post()
    assert problem(await desk.get("/api/v1/calls/a")) == (404, "no call a is remembered")
