"""What is kept of a journal does not depend on how its records come: cut anyhow, twice, late, with restarts between."""

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Quality, Record, Tag
from gateway.production.elements import elements
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper, Settings
from gateway.production.states import STATES, State
from gateway.production.thin import needless, repeated
from gateway.production.track import Count, Track
from gateway.production.unit import Unit
from tests.inline import inline
from tests.plainly import Plain, worked_out

TAGS = ("state", "processed", "rejected", "speed", "other")
UNIT = Unit(
    "filler",
    "acme/dresden/filler",
    {"state": "acme/dresden/filler/state", "produced": "acme/dresden/filler/processed",
     "scrap": "acme/dresden/filler/rejected", "speed": "acme/dresden/filler/speed"},
    STATES["packml"],
    rollover=64,
    minor_ns=5,
    startup_ns=5,
)  # fmt: skip
STALE = Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE
QUALITIES = st.sampled_from([0, 0, 0, 0, Quality.BAD_NOT_CONNECTED, STALE, Quality.BAD_TIMEOUT])
HORIZON = 90


class Now:
    def now_ns(self) -> int:
        return HORIZON


def catalog() -> Catalog:
    return Catalog(Tag("acme/dresden/filler", name) for name in TAGS)


def opened(folder: str, journal: str = "j") -> tuple[ProductionFile, Keeper]:
    file = ProductionFile(Path(folder) / "production.db")
    return file, Keeper(file, inline, catalog(), Now(), [UNIT], Settings(journal, 10**18))


@st.composite
def readings(draw: st.DrawFn) -> list[Record]:
    """Records of a journal: received in order, their readings up to 20 ns old, three boots."""
    records, received, boot = [], 0, 1
    for position in range(1, draw(st.integers(2, 14))):
        received += draw(st.integers(0, 8))
        boot = min(boot + draw(st.sampled_from([0, 0, 0, 1])), 3)
        tags = draw(st.lists(st.integers(0, len(TAGS) - 1), min_size=1, max_size=6))
        times = [received - draw(st.sampled_from([0, 0, 0, 1, 5, 20])) for _ in tags]
        values = draw(st.lists(st.integers(0, 18), min_size=len(tags), max_size=len(tags)))
        qualities = [int(draw(QUALITIES)) for _ in tags]
        batch = Batch(np.array(tags, np.uint32), np.array(times), np.array(values), np.array(qualities, np.uint32))
        records.append(Record(position, 0, boot, position, received, (batch,)))
    return records


def kept(deliveries: Sequence[Sequence[Record]], *, reopen: bool) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file, keeper = opened(folder)
        for records in deliveries:
            asyncio.run(keeper.write(records))
            if reopen:
                file.close()
                file, keeper = opened(folder)
        found = elements(keeper.facts(UNIT, 0, HORIZON), 0, HORIZON)
        edges = {role: keeper.said(UNIT, role, -100, HORIZON + 20) for role in UNIT.roles}
        file.close()
        return {role: (list(t.time), list(t.value)) for role, t in edges.items()} | {"elements": found}


@settings(deadline=None, max_examples=20)
@given(readings(), st.lists(st.integers(0, 14), max_size=6).map(sorted))
def test_deliveries_are_cut_anyhow_and_repeated_and_the_gateway_restarts(
    records: list[Record], cuts: list[int]
) -> None:
    whole = kept([records], reopen=False)
    edges = [0, *(min(cut, len(records)) for cut in cuts), len(records)]
    parts = [records[max(0, first - 2) : last] for first, last in pairwise(edges)]
    assert kept(parts, reopen=False) == whole
    assert kept(parts, reopen=True) == whole


def plainly(records: Sequence[Record]) -> Plain:
    """The same by dictionaries, one reading at a time, for readings that are good and of one boot."""
    rows: dict[str, dict[int, int]] = {name: {} for name in TAGS}
    for record in records:
        (batch,) = record.batches
        for tag, time, value in zip(batch.tag.tolist(), batch.time.tolist(), batch.value.tolist(), strict=True):
            rows[TAGS[tag]][time] = value
    words = {value: state.name.lower() for value, state in STATES["packml"].items()}
    return Plain(
        state=[(time, words.get(value)) for time, value in sorted(rows["state"].items())],
        until=max(record.received for record in records) + 1,
        ideal=[(time, Fraction(3600, value)) for time, value in sorted(rows["speed"].items()) if value],
        counts={"produced": sorted(rows["processed"].items()), "scrap": sorted(rows["rejected"].items())},
        modulus=64,
        tick=1,
    )


@settings(deadline=None, max_examples=20)
@given(readings(), st.randoms(use_true_random=False))
def test_late_readings_count_as_if_they_had_been_in_time(records: list[Record], chance: Any) -> None:
    good = [
        Record(n, 0, 1, n, record.received, tuple(b.where(b.good) for b in record.batches))
        for n, record in enumerate(records, 1)
    ]
    latest = max(record.received for record in good)
    assert kept([good], reopen=False)["elements"] == worked_out(plainly(good), 0, HORIZON)
    once = {(b.tag[i], b.time[i]): b.take(np.array([i])) for r in good for b in r.batches for i in range(len(b))}
    shuffled = list(once.values())
    chance.shuffle(shuffled)
    late = [Record(n, 0, 1, n, latest, (batch,)) for n, batch in enumerate(shuffled, 1)]
    if late:
        assert kept([late], reopen=False)["elements"] == kept([good], reopen=False)["elements"]


ROWS = st.dictionaries(st.integers(0, 400), st.one_of(st.none(), st.integers(0, 70)), max_size=30).map(
    lambda found: Track.of(sorted((time * 10**9, value) for time, value in found.items()))
)


@settings(deadline=None, max_examples=100)
@given(ROWS, st.lists(st.integers(0, 400), max_size=5), st.integers(0, 7), st.integers(0, 7))
def test_a_thinned_counter_counts_the_same_between_minutes_and_cuts(
    track: Track, marks: list[int], first: int, last: int
) -> None:
    cuts = np.array([mark * 10**9 for mark in marks], np.int64)
    rows = ~needless(track, cuts)
    thin = Track(track.time[rows], track.value[rows], track.known[rows])
    bounds = sorted([*(minute * 60 * 10**9 for minute in range(8)), *cuts.tolist()])
    for start, end in [(bounds[first], bounds[last]), *pairwise(bounds)]:
        before, after = Count.of(track, 64), Count.of(thin, 64)
        assert after.between(start, end) == before.between(start, end)
        assert after.bridged(start, end) == before.bridged(start, end)
        assert (np.sort(after.time[after.resets]) == np.sort(before.time[before.resets])).all()


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_what_is_repeated_says_nothing(track: Track) -> None:
    rows = ~repeated(track)
    thin = Track(track.time[rows], track.value[rows], track.known[rows])
    times = np.arange(-5, 410) * 10**9
    said = [None if i < 0 else track.value[i] for i in track.index(times)]
    assert said == [None if i < 0 else thin.value[i] for i in thin.index(times)]


def test_a_device_that_is_back_with_an_old_time_is_known_from_its_answer() -> None:
    """An OPC UA server repeats a state that did not change with the time of its last change."""
    executing = Batch.of([0], 10, [6])
    lost = Batch.of([0], 10, [6], STALE)
    records = [Record(n, 0, 1, n, at, (batch,)) for n, (at, batch) in enumerate(
        [(10, executing), (30, lost), (50, executing), (70, Batch.of([4], 70, [1]))], 1)]  # fmt: skip
    found = kept([records], reopen=False)["elements"]
    assert (found["APT"] * 10**9, found["unknown"] * 10**9) == (20 + 21, 10 + 20)
    assert STATES["packml"][6] is State.PRODUCING
