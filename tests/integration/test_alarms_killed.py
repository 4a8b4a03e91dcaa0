"""Alarms on real files: a flood is held without loss, and a process that is killed tells each transition once."""

import random
from pathlib import Path

from gateway.alarms.file import AlarmFile
from gateway.journal import JournalFile
from gateway.model import Kind
from tests.alarm_feeder import running
from tests.lives import lived

KILLS = 2
FLOOD = 10_000
SECOND_NS = 10**9


def told(folder: Path) -> list[int]:
    """The numbers of our events, in the order in which the journal has them."""
    file = JournalFile(folder / "journal.db")
    numbers, position = [], 0
    while True:
        records, reached = file.read(position, file.last, 1_000)
        for batch in (batch for record in records for batch in record.batches if batch.kind is Kind.OBJECT):
            numbers += [int(event["EventId"].partition("-")[2]) for event in batch.value]
        if reached == position or not records:
            break
        position = reached
    file.close()
    return numbers


def happened(folder: Path) -> int:
    file = AlarmFile(folder / "alarms.db")
    last = file.last()
    file.close()
    return last


def test_killed_again_and_again_each_transition_is_told_once(tmp_path: Path) -> None:
    chance = random.Random(8)
    for _ in range(KILLS):
        lived("tests.alarm_feeder", tmp_path, chance.randint(20, 150))
    lived("tests.alarm_feeder", tmp_path, None)
    last = happened(tmp_path)
    assert last > 200, "they went on and off"
    assert told(tmp_path) == list(range(1, last + 1))


async def test_ten_thousand_alarms_in_ten_seconds_are_held_without_loss(tmp_path: Path) -> None:
    async with running(tmp_path, FLOOD) as plant:
        plant.say(1.0, SECOND_NS)
        for step in range(100):  # a hundred more each tenth of a second
            plant.say(9.0, 2 * SECOND_NS + step * SECOND_NS // 10, slice(step * 100, step * 100 + 100))
        await plant.quiet()
        active = [alarm for alarm, _ in await plant.keeper.listed(lambda alarm: alarm.condition.active)]
        found = await plant.keeper.performance(0, 3_600 * SECOND_NS)
    assert len(active) == found["alarms"] == FLOOD
    assert found["floods"][0][0] == 2 * SECOND_NS
    assert told(tmp_path) == list(range(1, FLOOD + 1))
