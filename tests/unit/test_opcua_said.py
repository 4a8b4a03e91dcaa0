"""What is handed on of what a server says: readings of our tags, each once per connection."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from connectors._opcua.said import Said
from gateway.model import Batch, Quality

NUMBERS = np.array([10, 11, 12, 14], np.uint32)
UNKNOWN, STALE = Quality.BAD_NODE_ID_UNKNOWN, Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE


NOW = 1_000_000
Row = tuple[int, int, Any, int]


def rows(*batches: Batch) -> list[Row]:
    found: list[Row] = []
    for b in batches:
        found += zip(b.tag.tolist(), b.time.tolist(), b.value.tolist(), b.quality.tolist(), strict=True)
    return found


@pytest.fixture
def said() -> Said:
    one = Said(NUMBERS, Counter())
    one.begin()
    return one


def test_a_handle_that_is_none_of_our_tags_is_dropped_and_counted(said: Said) -> None:
    news = said.news([Batch.of([10, 9, 13, 0, 2**32 - 1, 15, 14], 5, 1.5)], NOW)
    assert rows(*news) == [(10, 5, 1.5, 0), (14, 5, 1.5, 0)]
    assert said._counts["not_ours"] == 5


@pytest.mark.parametrize("tags", [[10, 11, 12], [12, 10, 11]])
def test_what_was_told_is_told_again_only_in_another_connection(said: Said, tags: list[int]) -> None:
    _, second, third = tags
    everything = [(tag, 5, 1.5, 0) for tag in tags]
    assert rows(*said.news([Batch.of(tags, 5, 1.5)], NOW)) == everything
    again = rows(*said.news([Batch.of([*tags, 14], 5, [1.5, 2.5, 1.5, 1.5])], NOW))
    assert again == [(second, 5, 2.5, 0), (14, 5, 1.5, 0)]
    assert rows(*said.news([Batch.of(tags, 5, [1.5, 2.5, 1.5], [0, 0, STALE])], NOW)) == [(third, 5, 1.5, STALE)]
    said.begin()
    assert rows(*said.news([Batch.of(tags, 5, 1.5)], NOW)) == everything


def test_texts_and_other_objects_are_always_handed_on(said: Said) -> None:
    for _ in range(2):
        assert len(rows(*said.news([Batch.of([10, 11], 5, ["a", "b"])], NOW))) == 2


def test_only_what_was_not_told_is_told_of_the_rest(said: Said) -> None:
    said.news([Batch.of([10, 12], 5, 1.0)], NOW)
    assert said.left == [11, 14]
    assert rows(*said.untold([Batch.of([10, 11, 12, 14], 7, 2.0)], NOW)) == [(11, 7, 2.0, 0), (14, 7, 2.0, 0)]
    assert said.left == []
    said.begin()
    assert said.left == NUMBERS.tolist()


def test_a_node_is_gone_when_the_server_says_so_until_it_says_something_else(said: Said) -> None:
    said.news([Batch.of([10, 11, 12], 5, np.nan, [UNKNOWN | 0x0400, 0x8033_0000, 0x8031_0000])], NOW)
    assert said.gone == [10, 11]
    assert [row[0] for row in rows(*said.lacking([Batch.of([12, 14], 6, [1.0, np.nan], [0, UNKNOWN])], NOW))] == [14]
    assert said.gone == [10, 11, 14]
    said.news([Batch.of([10], 6, 1.0)], NOW)
    assert said.gone == [11, 14]


def test_that_the_server_cannot_have_a_node_is_said_once_per_connection(said: Said) -> None:
    codes = [UNKNOWN, 0x8010_0000]
    assert [row[::3] for row in rows(said.refused([10, 14], codes, 9))] == [(10, UNKNOWN), (14, 0x8010_0000)]
    assert rows(said.refused([10, 14], codes, 10)) == []
    assert said.gone == [10, 14]
    said.begin()
    assert [row[::3] for row in rows(said.refused([10], [UNKNOWN], 11))] == [(10, UNKNOWN)]


def test_the_silent_are_those_that_were_not_told_of_since_the_last_question(said: Said) -> None:
    said.news([Batch.of([10, 11, 12, 14], 5, 1.0)], NOW)
    assert said.silent() == []
    said.news([Batch.of([10], 6, 2.0)], NOW)
    said.refused([12], [UNKNOWN], 7)
    assert said.silent() == [11, 14]
    assert said.silent() == [10, 11, 14]


def test_a_time_that_is_more_than_a_day_ahead_is_that_of_arrival(said: Said) -> None:
    day = 86_400_000_000_000
    news = said.news([Batch.of([10, 11, 12], [NOW + day, NOW + day + 1, 2**62], 1.5)], NOW)
    assert [row[1] for row in rows(*news)] == [NOW + day, NOW, NOW]
    assert said._counts["times_ahead"] == 2
