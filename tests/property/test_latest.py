"""The latest table against the obvious model: a dictionary of tag to newest reading."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.latest import Latest
from gateway.model import Batch, Kind, Quality
from tests.property.strategies import batches, rows

Row = tuple[Any, ...]

FEW = st.integers(0, 9)
"""Few tags and few times, so that readings repeat, come late and come at the same time."""

EMISSIONS = st.lists(
    batches(tags=st.one_of(FEW, st.integers(0, 400)), times=st.integers(-5, 5), max_size=8), max_size=12
)


@dataclass
class Model:
    """What Latest should know, one reading at a time."""

    reading: dict[int, Row] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)

    def update(self, batch: Batch, version: int) -> None:
        for row in rows(batch):
            _, tag, time, *_ = row
            if tag not in self.reading or time >= self.reading[tag][2]:
                self.reading[tag], self.written[tag] = row, version


def told(latest: Latest, tags: list[int]) -> dict[int, Row]:
    found = latest.read(np.array(tags, np.uint32))
    return {row[1]: row for batch in found for row in rows(batch)}


@settings(deadline=None, max_examples=200)
@given(EMISSIONS, st.integers(0, 20))
def test_matches_a_dictionary(emissions: list[Batch], size: int) -> None:
    latest, model = Latest(size), Model()
    for batch in emissions:
        latest.update(batch)
        model.update(batch, latest.now)
    assert told(latest, list(model.reading)) == model.reading


@settings(deadline=None, max_examples=200)
@given(EMISSIONS, st.integers(0, 20), st.integers(0, 12))
def test_changed_names_what_was_written_since(emissions: list[Batch], size: int, seen: int) -> None:
    latest, model = Latest(size), Model()
    versions = [0]
    for batch in emissions:
        latest.update(batch)
        model.update(batch, latest.now)
        versions.append(latest.now)
    since = versions[min(seen, len(versions) - 1)]
    assert latest.changed(since).tolist() == sorted(tag for tag, version in model.written.items() if version > since)
    assert latest.changed(latest.now).tolist() == []


@settings(deadline=None, max_examples=100)
@given(EMISSIONS, st.lists(st.integers(0, 1000), max_size=6, unique=True))
def test_known_is_what_ever_came_and_the_rest_waits_for_initial_data(emissions: list[Batch], asked: list[int]) -> None:
    latest, model = Latest(), Model()
    for batch in emissions:
        latest.update(batch)
        model.update(batch, latest.now)
    assert latest.known(np.array(asked, np.uint32)).tolist() == [tag in model.reading for tag in asked]
    answered = told(latest, asked)
    assert answered.keys() == set(asked)
    for tag in set(asked) - model.reading.keys():
        kind, _, time, bits, quality = answered[tag]
        value = np.array([bits[1]], np.uint64).view(np.float64)
        assert (kind, time, quality) == (Kind.FLOAT, 0, Quality.BAD_WAITING_FOR_INITIAL_DATA)
        assert np.isnan(value[0])


@settings(deadline=None, max_examples=100)
@given(EMISSIONS)
def test_reading_does_not_change_what_is_read(emissions: list[Batch]) -> None:
    latest = Latest()
    tags = np.array(sorted({tag for batch in emissions for tag in batch.tag.tolist()}), np.uint32)
    for batch in emissions:
        latest.update(batch)
    before = [rows(batch) for batch in latest.read(tags)]
    latest.update(Batch.of([500], 9, 1.0))
    assert [rows(batch) for batch in latest.read(tags)] == before


@settings(deadline=None, max_examples=200)
@given(EMISSIONS)
def test_each_reading_is_known_by_its_record_and_since_when_its_quality_holds(emissions: list[Batch]) -> None:
    latest, model = Latest(), Model()
    record: dict[int, int] = {}
    since: dict[int, int] = {}
    for sequence, batch in enumerate(emissions, 1):
        before = dict(model.reading)
        for _, tag, time, _, quality in rows(batch):
            old = before[tag][4] if tag in before else Quality.BAD_WAITING_FOR_INITIAL_DATA
            if (tag not in before or time >= before[tag][2]) and quality != old:
                since[tag] = 1000 + sequence
            if tag not in before or time >= before[tag][2]:
                record[tag] = sequence
        latest.update(batch, sequence, 1000 + sequence)
        model.update(batch, latest.now)
    assert {tag: int(latest.sequence[tag]) for tag in record} == record
    assert {tag: int(latest.received[tag]) - 1000 for tag in record} == record
    assert {tag: int(latest.since[tag]) for tag in since} == since


def test_of_equal_times_the_later_row_wins() -> None:
    latest = Latest(1)
    latest.update(Batch.of([0, 0, 0], [5, 7, 7], [1.0, 2.0, 3.0]))
    assert told(latest, [0])[0][3][1] == np.array([3.0]).view(np.uint64)[0]
    latest.update(Batch.of([0], 7, [4.0]))
    latest.update(Batch.of([0], 6, [5.0]))
    assert latest.read(np.array([0], np.uint32))[0].value.tolist() == [4.0]


def test_what_is_forgotten_was_never_read() -> None:
    latest = Latest()
    latest.update(Batch.of([0, 1], 100, [1.5, 2.5]))
    latest.update(Batch.of([2], 100, [True]))
    latest.forget(np.array([1, 2, 3], np.uint32))
    assert latest.known(np.arange(4, dtype=np.uint32)).tolist() == [True, False, False, False]
    assert latest.changed(2).tolist() == [1, 2, 3]
    latest.update(Batch.of([1], 5, [7.0]))
    assert told(latest, [1])[1][2] == 5
