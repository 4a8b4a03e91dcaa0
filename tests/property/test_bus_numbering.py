"""Batch messages that are lost, repeated, replayed in any order: each number once, and what is missing is known."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._bus.numbering import Numbering, Turn, stretches

EVENTS = st.lists(st.tuples(st.sampled_from(["next", "lost", "again", "replay", "gone"]), st.integers(0, 30)))


@given(EVENTS)
@settings(deadline=None)
def test_it_knows_what_a_set_of_numbers_knows(events: list[tuple[str, int]]) -> None:
    counts: Counter[str] = Counter()
    numbering, published, last = Numbering(counts), 0, 0
    taken: set[int] = set()
    missing: set[int] = set()
    gone = 0
    for what, n in events:
        if what == "lost":
            published += n
        elif what == "next":
            published += 1
            if last:
                missing |= set(range(last + 1, published))
            assert numbering.take(1, published, published * 10) is Turn.NEXT
            last = published
            taken.add(last)
        elif what == "again" and taken:
            number = sorted(taken)[n % len(taken)]
            assert numbering.take(1, number, number * 10) is Turn.REPEATED
        elif what == "replay" and missing:
            number = sorted(missing)[n % len(missing)]
            assert numbering.take(1, number, number * 10) is Turn.MISSING
            missing.remove(number)
            taken.add(number)
        elif what == "gone" and missing:
            first = sorted(missing)[n % len(missing)]
            numbering.settle(first, first + 3)
            gone += len(missing & set(range(first, first + 4)))
            missing -= set(range(first, first + 4))
        numbering = Numbering.recalled(numbering.state, counts)
        assert {x for a, b in numbering.missing for x in range(a, b + 1)} == missing
        assert counts["lost_messages"] == gone


def test_a_gateway_that_counts_anew_is_followed() -> None:
    """Its journal is gone, so its numbers begin again: they have newer readings, or an older boot."""
    counts: Counter[str] = Counter()
    numbering = Numbering(counts)
    numbering.take(9, 100, 1000)
    assert numbering.take(9, 100, 1000) is Turn.REPEATED
    assert numbering.take(1, 3, 2000) is Turn.NEXT
    assert numbering.missing == [[1, 2]]
    assert numbering.take(1, 2, 1900) is Turn.MISSING
    other = Numbering(counts)
    other.take(9, 100, 1000)
    assert other.take(1, 102, 1000) is Turn.NEXT
    assert other.missing == [[1, 101]]


def test_the_first_message_misses_none_and_gaps_are_bounded() -> None:
    counts: Counter[str] = Counter()
    numbering = Numbering(counts)
    numbering.take(1, 500, 1)
    assert numbering.missing == []
    for i in range(1, 1102):
        numbering.take(1, 500 + 2 * i, i)
    assert len(numbering.missing) == 1000
    assert counts == {"gaps": 1101, "lost_messages": 101}


def test_what_a_file_or_another_gateway_says_may_be_nonsense() -> None:
    counts: Counter[str] = Counter()
    assert Numbering.recalled({"boot": "x", "last": 3, "time_us": 0}, counts).last == 0
    assert Numbering.recalled(None, counts).missing == []
    assert stretches([[1, 2], [3], "x", [1, "2"], None, [4, 4]]) == [[1, 2], [4, 4]]
    assert stretches("nothing") == stretches(None) == []
