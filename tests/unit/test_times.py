"""Points in time as requests write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.times import time_ns

NOW_NS = 1_767_592_800_000_000_000  # 2026-01-05T06:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW_NS),
        ("-1h", NOW_NS - 3_600_000_000_000),
        ("-90s", NOW_NS - 90_000_000_000),
        ("-500ms", NOW_NS - 500_000_000),
        ("-7d", NOW_NS - 604_800_000_000_000),
        ("2026-01-05T06:00:00Z", NOW_NS),
        ("2026-01-05T06:00:00.000001Z", NOW_NS + 1_000),
        ("2026-01-05T07:00:00+01:00", NOW_NS),
        ("2026-01-05T07:00:00 01:00", NOW_NS),  # a plus sign that nobody escaped
        ("2026-01-05T00:30:00-05:30", NOW_NS),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("1767592800000", NOW_NS),
        ("0", 0),
    ],
)
def test_times_in_their_forms(text: str, expected: int) -> None:
    assert time_ns(text, NOW_NS) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no time: write 2026-01-05T06:00:00Z"),
        ("yesterday", "is no time"),
        ("2026-13-01T00:00:00Z", "is no time"),
        ("1.5", "is no time"),
        ("2026-01-05T06:00:00", "has no offset: write"),
        ("2026-01-05", "has no offset"),
        ("-1", "is not a duration such as"),
        ("-", "is not a duration such as"),
        ("-1h30", "is not a duration such as"),
        ("-nan", "is not a duration such as"),
    ],
)
def test_what_is_no_time_is_named_with_the_forms(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        time_ns(text, NOW_NS)


@settings(deadline=None, max_examples=200)
@given(st.datetimes(datetime(1680, 1, 1), datetime(2260, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_any_time_with_any_offset_matches_the_calendar(time: datetime, offset_min: int) -> None:
    there = time.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset_min)))
    since = time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert time_ns(there.isoformat(), NOW_NS) == since // timedelta(microseconds=1) * 1_000


def answer(text: str) -> int | str:
    """The time, or the words of the error."""
    try:
        return time_ns(text, NOW_NS)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9" * 15, "-99999999d"]
)
def test_times_that_nanoseconds_cannot_hold_are_refused_or_cut(text: str) -> None:
    """int64 nanoseconds reach from 1677 to 2262; beyond, a database would refuse the query with a fault of ours."""
    found = answer(text)
    assert repr(text) in found if isinstance(found, str) else -(2**63) <= found < 2**63


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=12), st.text("-+:.0123456789TZhmsd ", max_size=24)))
def test_any_text_is_a_time_or_an_error_with_words(text: str) -> None:
    assert answer(text) != ""
