"""Answers of devices on their way into history, and what is left out when they are decoded again."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from connectors import modbus
from gateway.contracts import Device, Words
from gateway.historian import keeper as keeping
from gateway.historian.backup import findings
from gateway.historian.history import History
from gateway.historian.keeper import AnswerKeeper
from gateway.historian.schema import engine
from gateway.historian.words import decode, encode, keep, kept
from gateway.model import Tag
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

RECIPE = json.dumps({"blocks": [["holding", 10, 4], ["coil", 3, 2]], "tags": {}})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    opened = engine(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    opened.dispose()


def words(n: int, registers: list[int], bits: list[int], quality: tuple[int, int] = (0, 0)) -> Words:
    image = np.array(registers, ">u2").tobytes() + bytes(bits)
    return Words(
        RECIPE,
        np.arange(n, dtype=np.int64)[:, None] + np.array([0, 100]),
        np.full((n, 2), quality, np.uint32),
        np.tile(np.frombuffer(image, np.uint8), (n, 1)),
    )


@given(st.data())
@settings(deadline=None)
def test_what_is_kept_comes_back(data: st.DataObject) -> None:
    n, k, size = (data.draw(st.integers(1, 5)) for _ in range(3))
    chance = np.random.default_rng(data.draw(st.integers(0, 99)))
    time = chance.integers(-(2**62), 2**62, (n, k))
    quality = chance.integers(0, 2**32, (n, k), np.uint32)
    image = chance.integers(0, 256, (n, size), np.uint8)
    row = encode(Words("recipe", time, quality, image))
    found = decode(row, "recipe")
    assert (found.recipe, found.time.tolist(), found.quality.tolist()) == ("recipe", time.tolist(), quality.tolist())
    assert found.image.tobytes() == image.tobytes()
    for damaged in (row[:-1], row[:10], b"", row[:-1] + bytes([row[-1] ^ 1])):
        with pytest.raises(ValueError, match="damaged"):
            decode(damaged, "recipe")


def test_answers_that_are_damaged_are_found_by_a_check(database: Engine) -> None:
    History(database).prepare()
    keep(database, {"d": [words(2, [1, 2, 3, 4], [0, 1])]})
    assert list(findings(database)) == []
    with database.begin() as db:
        db.execute(text("UPDATE words SET data = x'01'"))
    assert list(findings(database)) == ["answers 1: it is damaged: its checksum does not match"]


def device(**tags: dict[str, Any]) -> Device:
    options = [modbus.TagOptions(**keys) for keys in tags.values()]
    numbers = np.arange(7, 7 + len(tags), dtype=np.uint32)
    return Device("d", "modbus://h", modbus.DeviceOptions(), [Tag("a", name) for name in tags], numbers, options)


def test_tags_are_decoded_whose_words_are_there() -> None:
    own = device(
        whole={"register": "holding:10", "type": "uint32", "order": "CDAB"},
        factor={"register": "holding:12", "scale_register": "holding:13"},
        bit={"register": "coil:4"},
        half={"register": "holding:13", "type": "uint32"},
        elsewhere={"register": "input:10"},
        counter={"register": "holding:12", "rollover": True},
    )
    found = list(modbus.redecode(own, words(2, [1, 2, 50, 0xFFFF], [0, 1]), range(6)))
    readings = {(int(tag), int(t)): v for b in found for tag, t, v in zip(b.tag, b.time, b.value.tolist(), strict=True)}
    assert readings == {
        (7, 0): 0x2_0001, (8, 0): 5.0, (9, 100): True, (7, 1): 0x2_0001, (8, 1): 5.0, (9, 101): True,
    }  # fmt: skip


def test_what_was_not_answered_stays_as_it_is() -> None:
    own = device(whole={"register": "holding:10"}, bit={"register": "coil:4"})
    (found,) = modbus.redecode(own, words(1, [1, 2, 3, 4], [0, 1], quality=(0x800A_0000, 0)), [0, 1])
    assert (found.tag.tolist(), found.value.tolist()) == ([8], [True])


def scan(keeper: AnswerKeeper, number: int, recipe: str = RECIPE) -> None:
    one = words(1, [number, 0, 0, 0], [0, 0])
    keeper.keep("d", recipe, one.time[0] + EPOCH_NS, one.quality[0], one.image[0])


def test_scans_are_written_forgotten_and_flushed_at_the_end(database: Engine) -> None:
    history = History(database)
    keeper = AnswerKeeper(history, inline, LoopClock(), retention_s=3600)

    async def two_hours() -> list[int]:
        async with asyncio.TaskGroup() as tasks:
            service = tasks.create_task(keeper.run(lambda: None))
            scan(keeper, 1)
            scan(keeper, 2, recipe='{"blocks": []}')
            await asyncio.sleep(6)
            written = sum(map(len, kept(database, "d", 0, 2**62)))
            await asyncio.sleep(7200)
            forgotten = sum(map(len, kept(database, "d", 0, 2**62)))
            scan(keeper, 3)
            service.cancel()
        await keeper.end()
        return [written, forgotten, sum(map(len, kept(database, "d", 0, 2**62)))]

    assert simulate(two_hours()) == [2, 0, 1]
    assert keeper.counts() == {"scans_kept": 3, "scans_dropped": 0}


def test_a_database_that_is_away_costs_the_oldest_and_they_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_BYTES_MAX", 30)
    history = History(engine(f"sqlite:///{tmp_path / 'nowhere' / 'history.db'}"))
    keeper = AnswerKeeper(history, inline, LoopClock(), retention_s=3600)
    for number in range(5):
        scan(keeper, number)

    async def life() -> None:
        with pytest.raises(ConnectionError, match="answers of devices cannot be kept"):
            await keeper.run(lambda: None)
        await keeper.end()

    simulate(life())
    assert keeper.counts() == {"scans_kept": 0, "scans_dropped": 5}
