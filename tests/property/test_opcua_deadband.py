"""Deadbands of our own against the plain rule, one reading after the other."""

import math
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._opcua.deadband import Deadbands
from gateway.model import Batch

BANDS = {1: 0.5, 4: 2.0, 9: 0.0}
ROWS = st.lists(
    st.tuples(st.integers(0, 10), st.sampled_from([0.0, 0.25, 0.75, 1.0, 3.0, math.nan, math.inf]), st.integers(0, 1)),
    max_size=12,
)


def plain(batches: Sequence[list[tuple[int, float, int]]]) -> list[list[tuple[int, str, int]]]:
    last: dict[int, tuple[float, int]] = {}
    told = []
    for rows in batches:
        kept = []
        for tag, value, quality in rows:
            if tag in BANDS and tag in last:
                before, status = last[tag]
                if abs(value - before) <= BANDS[tag] and quality == status:
                    continue
            last[tag] = value, quality
            kept.append((tag, repr(value), quality))
        told.append(kept)
    return told


@settings(deadline=None, max_examples=300)
@given(st.lists(ROWS, max_size=4))
def test_what_is_told_is_what_the_plain_rule_tells(batches: list[list[tuple[int, float, int]]]) -> None:
    bands = Deadbands()
    bands.add(BANDS)
    told = []
    for rows in batches:
        batch = bands(Batch.of([t for t, _, _ in rows], 0, [x for _, x, _ in rows] or 0.0, [q for *_, q in rows]))
        told.append(list(zip(batch.tag.tolist(), map(repr, batch.value.tolist()), batch.quality.tolist(), strict=True)))
    assert told == plain(batches)


def test_what_is_no_number_has_no_deadband() -> None:
    bands = Deadbands()
    bands.add(BANDS)
    for value in ([True, True], ["a", "a"]):
        assert len(bands(Batch.of([1, 1], 0, value))) == 2


def test_integers_have_one() -> None:
    bands = Deadbands()
    bands.add(BANDS)
    assert bands(Batch.of([4, 4, 4], 0, [10, 12, 13])).value.tolist() == [10, 13]
