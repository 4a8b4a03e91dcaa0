"""i3X 1.0: values that clients send: what they were told they may give back, all else goes through the door."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.i3x import updates
from gateway.contracts import DeviceError
from gateway.model import Quality
from tests.i3x import DRIVE, PRESS, Floor, S, floor, items, refusal, store
from tests.simulation.loop import EPOCH_NS

TOKENS = {"erp": "erp-0123456789abcdef", "spy": "spy-0123456789abcdef"}
BAD = 0x808A_0000
SPEED, TORQUE, WAVE = f"{DRIVE}/speed", f"{DRIVE}/torque", f"{PRESS}/vibration/waveform"


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path, tokens=TOKENS) as one:
        one.http.headers["Authorization"] = f"Bearer {TOKENS['spy']}"
        one.emit(SPEED, 50.0)
        one.emit(TORQUE, 1.5, time_ns=EPOCH_NS + 1_234)
        one.emit(WAVE, [0.5, 1.0])
        yield one


async def put(plant: Floor, path: str, *updates: tuple[str, Any], who: str = "spy") -> list[Any]:
    body = {"updates": [{"elementId": id, "value": value} for id, value in updates]}
    headers = {"Authorization": f"Bearer {TOKENS[who]}"}
    answer = await plant.http.put(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found = items(answer, [id for id, _ in updates])
    assert all(item["result"] is None for item in found if item["success"])
    return found


async def status(plant: Floor, path: str, id: str, value: Any, who: str = "spy") -> int:
    """200, or that of the item."""
    (item,) = await put(plant, path, (id, value), who=who)
    return 200 if item["success"] else int(item["responseDetail"]["status"])


@pytest.mark.parametrize("id", [TORQUE, SPEED, WAVE, DRIVE, PRESS, f"{PRESS}/never", "acme", f"{DRIVE}/recipe"])
@pytest.mark.parametrize("path", ["/objects/value", "/objects/history"])
async def test_what_was_told_may_be_given_back(plant: Floor, path: str, id: str) -> None:
    """Also when it is another value by now, and by whoever may not write."""
    told = await plant.value(id)
    vqt = {key: told[key] for key in ("value", "quality", "timestamp")}
    assert await status(plant, path, id, vqt) == 200
    plant.emit(TORQUE, 2.5, time_ns=EPOCH_NS + S)
    plant.emit(WAVE, [0.5, 1.5], time_ns=EPOCH_NS + S)
    assert await status(plant, path, id, vqt) == 200
    assert plant.hall.drive.written == []


async def test_what_was_told_long_ago_is_forgotten(plant: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """By answers, and by values in them."""
    for limit, most in (("_ANSWERS_MAX", 2), ("_BYTES_MAX", 350)):
        monkeypatch.setattr(updates, limit, most)
        plant.emit(TORQUE, 7.5, time_ns=EPOCH_NS + S)
        await plant.value(TORQUE)
        plant.emit(TORQUE, 8.5, time_ns=EPOCH_NS + S)
        assert await status(plant, "/objects/value", TORQUE, {"value": 7.5}) == 200
        for _ in range(3):
            await plant.value(TORQUE)
        assert await status(plant, "/objects/value", TORQUE, {"value": 7.5}) == 403
        monkeypatch.undo()


async def test_a_whole_number_comes_back_from_javascript_without_its_point(plant: Floor) -> None:
    plant.emit(TORQUE, 3.0, time_ns=EPOCH_NS + S)
    assert await status(plant, "/objects/value", TORQUE, {"value": 3}) == 200
    assert await status(plant, "/objects/value", TORQUE, {"value": True}) == 403
    assert await status(plant, "/objects/value", WAVE, {"value": [0.5, 1]}) == 200
    plant.emit(f"{PRESS}/state", 2**62 + 1)
    assert await status(plant, "/objects/value", f"{PRESS}/state", {"value": 4611686018427388000}) == 200
    assert await status(plant, "/objects/value", f"{PRESS}/state", {"value": 10**400}) == 403


@pytest.mark.parametrize(
    ("id", "told", "expected"),
    [
        (TORQUE, {"value": 9.5}, 403),
        (TORQUE, {"value": 9.5, "quality": "Good", "timestamp": "2026-01-05T06:00:00Z"}, 403),
        (TORQUE, {"value": "fast"}, 403),
        (TORQUE, {"value": None}, 403),
        (TORQUE, {"value": None, "quality": "Bad"}, 403),
        (TORQUE, {"value": 1.5, "quality": "Bad"}, 400),
        (TORQUE, {"value": None, "quality": "Good"}, 400),
        (TORQUE, {"value": 1.5, "quality": "Superb"}, 400),
        (TORQUE, {"value": 1.5, "timestamp": "yesterday"}, 400),
        (TORQUE, {"value": 1.5, "timestamp": "2026-01-05T06:00:00"}, 400),
        (WAVE, {"value": [0.5]}, 403),
        (DRIVE, {"value": {"torque": 9.5}}, 403),
        (DRIVE, {"value": {"speed": 60.0}}, 403),
        (DRIVE, {"value": {"tork": 1.5}}, 400),
        (DRIVE, {"value": {}}, 400),
        (DRIVE, {"value": 1.5}, 400),
        (DRIVE, {"value": {"torque": 1.5, "speed": 50}}, 200),
        ("nobody", {"value": 1.5}, 404),
        ("type:number.Hz", {"value": 1.5}, 404),
        (SPEED, {"value": 60.0}, 403),
    ],
)
async def test_another_value_is_refused_for_itself(plant: Floor, id: str, told: Any, expected: int) -> None:
    one, two, three = await put(plant, "/objects/value", (TORQUE, {"value": 1.5}), (id, told), (SPEED, {"value": 50}))
    assert one["success"]
    assert three["success"]
    assert (200 if two["success"] else two["responseDetail"]["status"]) == expected
    assert plant.hall.drive.written == []


@pytest.mark.parametrize(
    ("id", "value", "expected"),
    [
        (SPEED, 60.0, 200), (SPEED, 50.0, 200), (SPEED, 200.5, 400), (SPEED, "fast", 400), (SPEED, True, 400),
        (f"{DRIVE}/enable", True, 200), (f"{DRIVE}/recipe", "brown", 200), (f"{DRIVE}/recipe", 7, 400),
        (f"{DRIVE}/recipe", {"a": 1}, 400), (TORQUE, 2.5, 403),
    ],
)  # fmt: skip
async def test_whoever_may_write_writes_within_the_limits(plant: Floor, id: str, value: Any, expected: int) -> None:
    """Also the value that the tag seems to have: somebody may have set another one since it was read."""
    assert await status(plant, "/objects/value", id, {"value": value}, who="erp") == expected
    number = plant.hall.catalog.number(id)
    assert plant.hall.drive.written == ([(number, value)] if expected == 200 else [])


async def test_only_good_values_are_written(plant: Floor) -> None:
    told = {"value": 60.0, "quality": "Uncertain"}
    assert await status(plant, "/objects/value", SPEED, told, who="erp") == 400
    assert await status(plant, "/objects/value", SPEED, {"value": 60.0, "quality": None}, who="erp") == 200
    assert plant.hall.drive.written == [(0, 60.0)]
    plant.emit(SPEED, 55.0, quality=0x408F_0000)
    held = {"value": 55.0, "quality": "Uncertain"}
    assert await status(plant, "/objects/value", SPEED, held, who="erp") == 200  # as it was told
    assert len(plant.hall.drive.written) == 1


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(DeviceError("no", Quality.BAD_NOT_WRITABLE), 502), (TimeoutError("silent"), 504), (ValueError("too much"), 400)],
)
async def test_what_the_device_makes_of_it_is_told(plant: Floor, trouble: Exception, expected: int) -> None:
    plant.hall.drive.trouble = trouble
    assert await status(plant, "/objects/value", SPEED, {"value": 60.0}, who="erp") == expected


async def test_a_device_that_is_away_is_told(plant: Floor) -> None:
    plant.hall.health.state = "down"
    assert await status(plant, "/objects/value", SPEED, {"value": 60.0}, who="erp") == 503


async def test_each_update_is_a_write_of_its_own(plant: Floor) -> None:
    updates = [(SPEED, {"value": 60.0}), (SPEED, {"value": 60.0}), (SPEED, {"value": 999.0})]
    found = await put(plant, "/objects/value", *updates, who="erp")
    assert [item["success"] for item in found] == [True, True, False]
    assert len(plant.hall.drive.written) == 2


async def test_history_is_not_rewritten(plant: Floor, tmp_path: Path) -> None:
    """Not even by whoever may write to devices; what is there may be said again."""
    store(tmp_path, SPEED, [EPOCH_NS - 60 * S + 1_234, EPOCH_NS - 59 * S], [10.0, 0.0], [0, BAD])
    past = {"value": 10.0, "quality": "Good", "timestamp": "2026-01-05T05:59:00.000001Z"}
    for who in ("spy", "erp"):
        for change, expected in (
            ({}, 200), ({"value": 11.0}, 403), ({"quality": "Uncertain"}, 403), ({"value": 50.0}, 403),
            ({"timestamp": "2026-01-05T05:59:00Z"}, 403), ({"timestamp": None}, 400),
            ({"value": None, "quality": "Bad"}, 403),
            ({"value": None, "quality": "Bad", "timestamp": "2026-01-05T05:59:01Z"}, 200),
        ):  # fmt: skip
            assert await status(plant, "/objects/history", SPEED, past | change, who=who) == expected, (who, change)
    assert await status(plant, "/objects/history", "nobody", past) == 404
    assert plant.hall.drive.written == []


async def test_a_record_has_a_timestamp(plant: Floor) -> None:
    assert await status(plant, "/objects/history", SPEED, {"value": 50.0, "quality": "Good"}) == 400


async def test_without_a_historian_the_present_may_still_be_said(tmp_path: Path) -> None:
    async with floor(tmp_path, tokens=TOKENS, history=False) as plant:
        plant.http.headers["Authorization"] = f"Bearer {TOKENS['spy']}"
        plant.emit(SPEED, 50.0)
        now = {"value": 50.0, "quality": "Good", "timestamp": "2026-01-05T06:00:00Z"}
        assert await status(plant, "/objects/value", SPEED, now) == 200
        answer = await plant.http.put("/objects/history", json={"updates": [{"elementId": SPEED, "value": now}]})
        assert refusal(answer)[0] == 501


@pytest.mark.parametrize(
    "body", [{}, {"updates": 1}, {"updates": [{}]}, {"updates": [{"elementId": SPEED, "value": 50}]}]
)
@pytest.mark.parametrize("path", ["/objects/value", "/objects/history"])
async def test_a_request_that_is_none_is_a_400(plant: Floor, path: str, body: Any) -> None:
    assert refusal(await plant.http.put(path, json=body))[0] == 400


async def test_no_updates_are_no_mistake(plant: Floor) -> None:
    assert await plant.bulk("/objects/value", method="PUT", updates=[]) == []
