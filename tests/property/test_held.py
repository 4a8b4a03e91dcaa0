"""Means weighted by time in the SQL views: as one would compute them from a plain list, and as the API says them."""

import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.historian.history import History, Progress
from gateway.historian.order import SHARD_SERIES
from gateway.historian.rollup import HOUR_NS, MINUTE_NS
from gateway.historian.schema import engine
from gateway.model import Batch, Tag

X = Tag("plant/a", "x", unit="bar")
_TAGS = itertools.count()
VIEWS = {"history_1m": MINUTE_NS, "history_1h": HOUR_NS}

Number = tuple[int, float | None]
"""Time of a reading, and its value; None if that does not count."""


def by_hand(readings: Sequence[Number], bucket: int, width: int) -> tuple[Fraction, int]:
    """The integral of what is known in a bucket [ns], and for how long it is; readings are by time."""
    area, known = Fraction(0), 0
    ends = [time for time, _ in readings[1:]] + [bucket + width]
    for (time, value), until in zip(readings, ends, strict=True):
        held = min(until, bucket + width) - max(time, bucket)
        if held > 0 and value is not None:
            area += Fraction(value) * held
            known += held
    return area, known


def check(history: History, path: str, readings: Sequence[Number]) -> None:
    """Compare each row of the views with list and API, but those of which retention has cut off what held before."""
    little = 1e-9 * max((abs(value or 0) for _, value in readings), default=0)
    for view, width in VIEWS.items():
        select = text(f"SELECT time_ns, time_mean, known FROM {view} WHERE path = :path ORDER BY time_ns")
        with history.engine.connect() as db:
            rows = {row.time_ns: row for row in db.execute(select, {"path": path})}
        said = history.summary(path, min(rows), max(rows) + width, width) if rows else None
        means = {} if said is None else dict(zip(said.rollup.bucket.tolist(), said.time_mean.tolist(), strict=True))
        for bucket, row in rows.items():
            before = max((time for time, _ in readings if time < bucket), default=bucket)
            if before // width * width not in rows:
                continue
            area, known = by_hand(readings, bucket, width)
            assert row.known == pytest.approx(known * 1e-9, abs=1e-9)
            if known:
                assert row.time_mean == pytest.approx(float(area / known), rel=1e-9, abs=little)
                assert row.time_mean == pytest.approx(means[bucket], rel=1e-9, abs=little)
            else:
                assert row.time_mean is None
                assert math.isnan(means[bucket])


@st.composite
def pieces(draw: st.DrawFn) -> list[list[tuple[int, float, int, bool]]]:
    """What is compacted at once: second, value, quality, and whether it is a state instead of a number."""
    second = st.one_of(st.integers(0, 130), st.integers(3500, 3700), st.integers(0, 3 * 3600))
    value = st.one_of(st.integers(-5, 5).map(float), st.sampled_from([0.1, 1e6, math.nan, math.inf]))
    reading = st.tuples(second, value, st.sampled_from([0, 0, 0, 0x408F_0000, 0x808A_0000]), st.booleans())
    return draw(st.lists(st.lists(reading, min_size=1, max_size=8), min_size=1, max_size=5))


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    with tempfile.TemporaryDirectory() as folder:
        one = History(engine(f"sqlite:///{Path(folder) / 'history.db'}"))
        yield one
        one.close()


def test_a_minute_that_is_compacted_in_pieces_is_one(history: History) -> None:
    tag = Tag("plant/a", "in_pieces")
    (series,) = history.series([tag])
    for second, value in ((0, 1.0), (30, 3.0), (45, 5.0)):
        history.append([Batch.of([series], second * 10**9, [value])], Progress("g", "j", 1), 1)
        history.compact(int(series) // SHARD_SERIES)
    with history.engine.connect() as db:
        select = text("SELECT time_mean, known FROM history_1m WHERE path = 'plant/a/in_pieces'")
        assert db.execute(select).one() == ((30 * 1.0 + 15 * 3.0 + 15 * 5.0) / 60, 60.0)


def test_a_database_of_an_earlier_program_gets_the_columns_and_says_what_it_does_not_know(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    _filled(url, 1, [0, 30])
    opened = engine(url)
    with opened.begin() as db:
        for view, table in (("history_1m", "rollup_1m"), ("history_1h", "rollup_1h")):
            db.exec_driver_sql(f"DROP VIEW {view}")
            for column in ("opens", "closes", "unknown", "area"):
                db.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
            db.exec_driver_sql(f"CREATE VIEW {view} AS SELECT series FROM {table}")
    opened.dispose()
    _filled(url, 2, [60, 150, 180])
    with opened.connect() as db:
        minutes = db.execute(text("SELECT time_ns, mean, time_mean, known FROM history_1m ORDER BY time_ns")).all()
        (hour,) = db.execute(text("SELECT time_mean, known FROM history_1h")).all()
    assert [tuple(row) for row in minutes] == [
        (0, 15.0, None, None),
        (1 * MINUTE_NS, 60.0, None, None),  # what held before its first reading is not known
        (2 * MINUTE_NS, 150.0, pytest.approx((60 + 150) / 2), 60.0),
        (3 * MINUTE_NS, 180.0, 180.0, 60.0),
    ]
    assert tuple(hour) == (None, None)


def _filled(url: str, position: int, seconds: list[int]) -> None:
    """Store readings whose value is their second."""
    history = History(engine(url))
    series = history.series([X])
    batch = Batch.of(list(series) * len(seconds), [s * 10**9 for s in seconds], [float(s) for s in seconds])
    history.append([batch], Progress("g", "j", position), position)
    history.compact(0)
    history.close()


def test_another_kind_of_value_that_comes_later_but_is_older_has_its_place(history: History) -> None:
    """It is newer than all of its own kind, so it is not late; but how long the others held is not what it was."""
    tag = Tag("plant/a", "two_kinds")
    series = history.series([tag])
    for seconds, value in (([0, 40], np.array([1.0, 2.0])), ([20, 50], np.array([False, True]))):
        batch = Batch.of(list(series) * 2, [s * 10**9 for s in seconds], value)
        history.append([batch], Progress("g", "j", 1), 1)
        history.compact(int(series[0]) // SHARD_SERIES)
    readings: list[Number] = [(0, 1.0), (20 * 10**9, 0.0), (40 * 10**9, 2.0), (50 * 10**9, 1.0)]
    assert by_hand(readings, 0, MINUTE_NS) == (Fraction(50 * 10**9), MINUTE_NS)
    check(history, tag.path, readings)


@settings(deadline=None, max_examples=20)
@given(pieces(), st.booleans(), st.booleans())
def test_the_views_say_what_a_list_says(
    history: History, found: list[list[tuple[int, float, int, bool]]], both: bool, in_order: bool
) -> None:
    """Late, again, bad, in pieces of a minute, and of a tag that has two kinds of value."""
    tag = Tag("plant/a", f"x{next(_TAGS)}")
    (series,) = history.series([tag]).tolist()
    has: dict[int, Number] = {}
    kinds: dict[int, bool] = {}
    ordered = sorted(reading for piece in found for reading in piece)
    for piece in found:
        some, ordered = (ordered[: len(piece)], ordered[len(piece) :]) if in_order else (piece, ordered)
        batches = []
        for second, value, quality, state in some:
            state = kinds.setdefault(second, state and both)  # two kinds at one time have no order
            shown = value > 0 if state else value
            batches.append(Batch.of([series], second * 10**9, [shown], [quality]))
            counts = quality < 0x4000_0000 and math.isfinite(shown)
            has[second] = (second * 10**9, float(shown) if counts else None)
        history.append(batches, Progress("g", "j", 1), 1)
        history.compact(series // SHARD_SERIES)
        check(history, tag.path, sorted(has.values()))
