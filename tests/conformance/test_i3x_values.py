"""i3X 1.0: present values and history, as value, quality and timestamp."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.i3x import history, values
from tests.drive import SITE
from tests.i3x import DRIVE, PRESS, Floor, S, floor, refusal, store, vqt
from tests.simulation.loop import EPOCH_NS

BAD, HELD, DEVICE_SAYS_NO_DATA = 0x808A_0000, 0x408F_0000, 0x00A5_0000
NOW = "2026-01-05T06:00:00Z"
RANGE = {"start": "2026-01-05T05:00:00Z", "end": NOW}
HOUR_NS = EPOCH_NS - 3600 * S


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path) as one:
        yield one


@pytest.mark.parametrize(
    ("path", "value", "code", "told"),
    [
        (f"{DRIVE}/speed", 50.5, 0, (50.5, "Good")),
        (f"{DRIVE}/speed", 50.5, HELD, (50.5, "Uncertain")),
        (f"{DRIVE}/speed", 50.5, BAD, (None, "Bad")),
        (f"{DRIVE}/speed", 50.5, 0xC000_0000, (None, "Bad")),
        (f"{DRIVE}/speed", 0.0, DEVICE_SAYS_NO_DATA, (None, "GoodNoData")),
        (f"{DRIVE}/speed", math.nan, 0, (None, "Bad")),
        (f"{DRIVE}/speed", math.inf, HELD, (None, "Bad")),
        (f"{DRIVE}/steps", 2**62 + 1, 0, (2**62 + 1, "Good")),
        (f"{DRIVE}/steps", 5, BAD, (None, "Bad")),
        (f"{DRIVE}/enable", True, 0, (True, "Good")),
        (f"{DRIVE}/enable", False, BAD, (None, "Bad")),
        (f"{DRIVE}/recipe", 'a "quoted", text', 0, ('a "quoted", text', "Good")),
        (f"{DRIVE}/recipe", "a", BAD, (None, "Bad")),
        (f"{DRIVE}/recipe", None, 0, (None, "GoodNoData")),
        (f"{DRIVE}/recipe", {"a": [1, None]}, 0, ({"a": [1, None]}, "Good")),
        (f"{PRESS}/vibration/waveform", np.array([0.5, -0.25]), 0, ([0.5, -0.25], "Good")),
    ],
)
async def test_a_value_is_null_exactly_if_it_is_bad_or_no_data(
    plant: Floor, path: str, value: Any, code: int, told: tuple[Any, str]
) -> None:
    plant.emit(path, value, quality=code)
    found = await plant.value(path)
    assert found["isComposition"] is False
    assert found.keys() == {"isComposition", "value", "quality", "timestamp"}
    assert vqt(found) == (*told, NOW)


@pytest.mark.parametrize(
    ("after_ns", "told"),
    [(0, NOW), (123_456_789, "2026-01-05T06:00:00.123456Z"), (-EPOCH_NS - S, "1969-12-31T23:59:59.000000Z")],
)
async def test_a_timestamp_is_that_of_the_source_in_utc(plant: Floor, after_ns: int, told: str) -> None:
    plant.emit(f"{DRIVE}/speed", 1.0, time_ns=EPOCH_NS + after_ns)
    assert vqt(await plant.value(f"{DRIVE}/speed"))[2] == told


@pytest.mark.parametrize("path", [f"{PRESS}/never", PRESS, SITE, "acme"])
async def test_what_was_never_read_is_good_no_data_since_the_start(plant: Floor, path: str) -> None:
    plant.clock.ns += S
    assert vqt(await plant.value(path)) == (None, "GoodNoData", NOW)


async def test_many_values_in_the_order_of_the_request(plant: Floor) -> None:
    """Of all kinds of value, some of them twice."""
    readings = {f"{DRIVE}/recipe": "a", f"{DRIVE}/speed": 1.5, f"{PRESS}/closed": True, f"{DRIVE}/steps": 3}
    for path, value in readings.items():
        plant.emit(path, value)
    ids = [*readings, DRIVE, *reversed(readings)]
    found = [item["result"]["value"] for item in await plant.bulk("/objects/value", elementIds=ids)]
    drive = {"recipe": "a", "speed": 1.5, "steps": 3}
    assert found == [*readings.values(), drive, *reversed(readings.values())]


async def test_the_value_of_a_machine_is_the_object_of_those_of_its_tags(plant: Floor) -> None:
    """It is as good as they are together, what was never read left out, and of the latest of their times."""
    plant.emit(f"{DRIVE}/speed", 1.5, time_ns=EPOCH_NS - 5 * S)
    plant.emit(f"{DRIVE}/enable", True, time_ns=EPOCH_NS - 3 * S)
    assert vqt(await plant.value(DRIVE)) == ({"speed": 1.5, "enable": True}, "Good", "2026-01-05T05:59:57Z")
    plant.emit(f"{DRIVE}/enable", False, quality=BAD)
    assert vqt(await plant.value(DRIVE)) == ({"speed": 1.5}, "Uncertain", NOW)
    plant.emit(f"{DRIVE}/speed", 1.5, quality=BAD)
    assert vqt(await plant.value(DRIVE)) == (None, "Bad", NOW)


async def test_components_come_with_another_depth_than_one(plant: Floor) -> None:
    plant.emit(f"{DRIVE}/speed", 1.5)
    plant.emit(f"{DRIVE}/torque", 1.5, quality=BAD)
    plain = await plant.value(DRIVE)
    assert plain["isComposition"] is True
    for depth in (1, None):
        assert await plant.value(DRIVE, maxDepth=depth) == plain
    for depth in (0, 2, 9):
        deep = await plant.value(DRIVE, maxDepth=depth)
        components = deep.pop("components")
        assert deep == plain
        assert {id: vqt(one)[:2] for id, one in components.items()} == {
            f"{DRIVE}/speed": (1.5, "Good"), f"{DRIVE}/torque": (None, "Bad"),
            **{f"{DRIVE}/{name}": (None, "GoodNoData") for name in ("steps", "enable", "recipe")},
        }  # fmt: skip
    assert "components" not in await plant.value(f"{DRIVE}/speed", maxDepth=0)
    assert "components" not in await plant.value(SITE, maxDepth=0)  # children are no components


@pytest.mark.parametrize("depth", [-1, 1.5, "1", True, []])
async def test_a_depth_that_is_none_is_a_400(plant: Floor, depth: Any) -> None:
    answer = await plant.http.post("/objects/value", json={"elementIds": [DRIVE], "maxDepth": depth})
    assert refusal(answer)[0] == 400


async def test_what_is_too_much_for_one_answer_is_refused_by_itself(
    plant: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "VALUES_MAX", 12)
    ids = [DRIVE, DRIVE, f"{DRIVE}/speed"]
    first, second, third = await plant.bulk("/objects/value", elementIds=ids, maxDepth=0)
    assert (first["success"], second["success"], third["success"]) == (True, False, False)
    assert second["responseDetail"]["status"] == 400


# --- history ------------------------------------------------------------------------------


async def test_history_is_in_order_and_within_the_range(plant: Floor, tmp_path: Path) -> None:
    """Both ends are in it, to the microsecond."""
    store(tmp_path, f"{DRIVE}/speed", [HOUR_NS + k * S for k in (5, 1, 3, 4, 2)], [5.0, 1.0, 3.0, 4.0, 2.0])
    (found,) = await plant.past(f"{DRIVE}/speed", start="2026-01-05T05:00:02Z", end="2026-01-05T05:00:04Z")
    assert found["isComposition"] is False
    told = [vqt(row) for row in found["values"]]
    assert told == [(float(k), "Good", f"2026-01-05T05:00:0{k}Z") for k in (2, 3, 4)]
    (found,) = await plant.past(f"{DRIVE}/speed", start="2026-01-05T06:00:02+01:00", end="2026-01-05T05:00:02.000000Z")
    assert [row["value"] for row in found["values"]] == [2.0]


async def test_history_of_several_kinds_of_value_and_qualities(plant: Floor, tmp_path: Path) -> None:
    path = f"{DRIVE}/speed"
    store(tmp_path, path, [HOUR_NS, HOUR_NS + 2 * S, HOUR_NS + 4 * S], [1.5, math.nan, 2.5], [0, 0, BAD])
    store(tmp_path, path, [HOUR_NS + 1 * S, HOUR_NS + 3 * S], ["a", None], [HELD, 0])
    (found,) = await plant.past(path, **RANGE)
    assert [vqt(row)[:2] for row in found["values"]] == [
        (1.5, "Good"), ("a", "Uncertain"), (None, "Bad"), (None, "GoodNoData"), (None, "Bad"),
    ]  # fmt: skip


async def test_no_history_is_an_empty_list(plant: Floor) -> None:
    found = await plant.past(f"{DRIVE}/speed", DRIVE, SITE, **RANGE)
    assert [one["values"] for one in found] == [[], [], []]
    assert [one["isComposition"] for one in found] == [False, True, False]


async def test_the_history_of_a_machine_has_a_row_for_each_time(plant: Floor, tmp_path: Path) -> None:
    store(tmp_path, f"{DRIVE}/speed", [HOUR_NS, HOUR_NS + S, HOUR_NS + 2 * S], [1.5, 2.5, 3.5], [0, 0, BAD])
    store(tmp_path, f"{DRIVE}/enable", [HOUR_NS, HOUR_NS + 3 * S], [True, False], [HELD, 0])
    (plain,) = await plant.past(DRIVE, **RANGE)
    assert "components" not in plain
    assert [vqt(row) for row in plain["values"]] == [
        ({"speed": 1.5, "enable": True}, "Uncertain", "2026-01-05T05:00:00Z"),
        ({"speed": 2.5}, "Good", "2026-01-05T05:00:01Z"),
        (None, "Bad", "2026-01-05T05:00:02Z"),
        ({"enable": False}, "Good", "2026-01-05T05:00:03Z"),
    ]
    (deep,) = await plant.past(DRIVE, **RANGE, maxDepth=0)
    components = deep.pop("components")
    assert deep == plain
    assert components.keys() == {f"{DRIVE}/{name}" for name in ("speed", "steps", "enable", "recipe", "torque")}
    for id, one in components.items():
        (alone,) = await plant.past(id, **RANGE)
        assert one == {"values": alone["values"]}


@pytest.mark.parametrize(
    "change",
    [
        {"startTime": None}, {"endTime": None}, {"startTime": "yesterday"}, {"endTime": "2026-01-05"},
        {"startTime": "2026-01-05T06:00:00"}, {"endTime": "2026-02-30T06:00:00Z"}, {"startTime": 1767592800},
        {"startTime": "2026-01-05T06:00:01Z"}, {"endTime": "-1h"}, {"endTime": "9999-12-31T00:00:00Z"},
    ],
)  # fmt: skip
async def test_a_range_that_is_none_is_a_400(plant: Floor, change: dict[str, Any]) -> None:
    body = {"elementIds": [DRIVE], "startTime": RANGE["start"], "endTime": RANGE["end"]} | change
    body = {key: value for key, value in body.items() if value is not None}
    assert refusal(await plant.http.post("/objects/history", json=body))[0] == 400


@pytest.mark.parametrize("compacted", [False, True])
async def test_an_answer_that_is_cut_says_so(
    plant: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    """206, with the oldest; whoever asks from the last one on has everything in the end."""
    monkeypatch.setattr(history, "POINTS_MAX", 16)
    for name, first in (("speed", 0.0), ("torque", 100.0)):
        store(tmp_path, f"{DRIVE}/{name}", [HOUR_NS + k * S for k in range(20)], [first + k for k in range(20)])
    for id in (f"{DRIVE}/speed", DRIVE):
        seen: list[Any] = []
        start = RANGE["start"]
        for _ in range(30):
            body = {"elementIds": [id, f"{PRESS}/state", id], "startTime": start, "endTime": RANGE["end"]}
            answer = await plant.http.post("/objects/history", json=body)
            assert all(item["result"]["values"] for item in answer.json()["results"][::2])
            rows = answer.json()["results"][0]["result"]["values"]
            seen += rows if not seen else rows[1:]
            start = seen[-1]["timestamp"]
            if answer.status_code == 200:
                break
            assert (answer.status_code, answer.json()["responseDetail"]["status"]) == (206, 206)
        assert [row["value"] for row in seen] == [
            float(k) if id != DRIVE else {"speed": float(k), "torque": 100.0 + k} for k in range(20)
        ]


async def test_without_a_historian_history_has_no_data(tmp_path: Path) -> None:
    async with floor(tmp_path, history=False) as plant:
        plain, deep = await plant.past(f"{DRIVE}/speed", DRIVE, **RANGE, maxDepth=0)
        assert [vqt(row) for row in plain["values"]] == [(None, "GoodNoData", NOW)]
        assert {id: len(one["values"]) for id, one in deep["components"].items()}[f"{DRIVE}/speed"] == 1
