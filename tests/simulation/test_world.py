"""The whole chain from device to far side in worlds that fail at random, one seed each: nothing is lost unseen."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.journal.limits import Limits
from gateway.ledger import LedgerFile
from gateway.ledger.row import MINUTE_NS
from tests.simulation.loop import simulate
from tests.simulation.world import FAR_SIDES, World, record_contents

pytestmark = pytest.mark.brings_bugs

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of losses are logged, as they should be; nobody reads them here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def assert_everything_arrived(world: World) -> None:
    """Each far side has every emission exactly once, as it was, in order, and without a gap in any sequence."""
    for name in FAR_SIDES:
        records = world.far_sides[name].records
        assert list(records) == list(range(1, len(world.emissions) + 1))
        assert [record_contents(record) for record in records.values()] == world.emissions
        sequences: dict[int, int] = {}
        boot = 0
        for record in records.values():
            sequences[record.asset] = sequences.get(record.asset, 0) + 1
            assert record.sequence == sequences[record.asset]
            assert record.boot >= boot
            boot = record.boot


def assert_the_books_are_right(world: World) -> None:
    """The ledger has what came, in its minute, and all of it delivered; and whatever was due and did not come."""
    truth: dict[tuple[int, str], list[int]] = {}
    for record in world.far_sides["bus"].records.values():
        entry = truth.setdefault((record.received // MINUTE_NS * MINUTE_NS, f"machine{record.asset}"), [0, 0])
        good = sum(int(batch.good.sum()) for batch in record.batches)
        entry[0] += good
        entry[1] += len(record) - good
    file = LedgerFile(world.path.with_name("ledger.db"))
    rows = dict(file.rows("", 0, 1 << 62, (0, ""), 1_000_000))
    file.close()
    assert {key: [row.good, row.bad] for key, row in rows.items() if row.good or row.bad} == truth
    for key, row in rows.items():
        assert row.expected == row.good + sum(gap.readings for gap in row.gaps.values()), (key, row)
        assert all(sink.delivered == row.good + row.bad for sink in row.sinks.values() if key in truth)
        assert sum(gap.seconds for gap in row.gaps.values()) <= 60.0 + 1e-6
    minutes = {minute for minute, _ in rows}
    assert minutes == set(range(min(minutes), max(minutes) + 1, MINUTE_NS))


async def story(world: World) -> None:
    """Some lives, ended one way or another, and a last one in which the world heals."""
    chance = world.weather.chance
    for _ in range(chance.randrange(4)):
        await world.live(chance.uniform(0.0, HOUR_S), killed=chance.random() < 0.7)
    await world.live(chance.uniform(0.0, HOUR_S), heals=True)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_and_all_is_well_when_the_world_heals(seed: int, tmp_path: Path) -> None:
    world = World(tmp_path, seed)
    simulate(story(world))
    assert world.lost.keys() <= {"journal_failed"}  # of lives that ended while the disk was full
    assert_everything_arrived(world)
    assert_the_books_are_right(world)


@pytest.mark.parametrize("seed", [100, 101])
def test_the_same_seed_is_the_same_world(seed: int, tmp_path: Path) -> None:
    async def two_lives(world: World) -> None:
        await world.live(900.0, killed=True)
        await world.live(900.0)

    digests = set()
    for run in ("one", "other"):
        world = World(tmp_path / run, seed)
        simulate(two_lives(world))
        told = [world.far_sides[side].records for side in FAR_SIDES]
        digests.add(hashlib.sha256(repr([world.emissions, told]).encode()).hexdigest())
    assert len(digests) == 1


def test_other_seeds_are_other_worlds(tmp_path: Path) -> None:
    found = set()
    for seed in range(5):
        world = World(tmp_path / str(seed), seed)
        simulate(world.live(600.0))
        found.add(len(world.emissions))
    assert len(found) > 1


@pytest.mark.parametrize("seed", range(200, 204))
def test_what_memory_cannot_hold_while_the_disk_is_away_is_counted(seed: int, tmp_path: Path) -> None:
    world = World(tmp_path, seed, Limits(memory_bytes_max=1_000, sync_s=5.0, trim_s=30.0))
    simulate(world.live(HOUR_S, heals=True))
    for side in world.far_sides.values():
        missing = len(world.emissions) - len(side.records)
        assert missing == world.lost.total()
        assert all(record_contents(r) == world.emissions[r.position - 1] for r in side.records.values())
        assert list(side.records) == sorted(side.records)
    assert world.lost["journal_behind"] > 0


@pytest.mark.parametrize("seed", range(300, 303))
def test_what_the_file_cannot_hold_while_a_far_side_is_away_is_counted(seed: int, tmp_path: Path) -> None:
    world = World(tmp_path, seed, Limits(memory_bytes_max=10_000, size_bytes_max=150_000, sync_s=5.0, trim_s=30.0))
    simulate(world.live(HOUR_S, heals=True))
    worst = max(len(world.emissions) - len(side.records) for side in world.far_sides.values())
    assert worst <= world.lost.total()
    assert all(list(side.records) == sorted(side.records) for side in world.far_sides.values())
