"""The selftest's own arithmetic: it must see what it is there to see."""

from dataclasses import replace

import pytest

from gateway.payload import Message
from gateway.selftest.device import Connection, value_range
from gateway.selftest.tally import Told, judge, percentile


def message(number: int, sequence: int, boot: int = 1) -> Message:
    values = [number, *value_range(number)]
    names = ["number", *(f"v{k}" for k in range(len(values) - 1))]
    return Message("gw1", boot, sequence, [0] * len(names), names, values, [0] * len(names), False)


def told(*messages: Message) -> Told:
    one = Told()
    for said in messages:
        one.take(said)
    return one


def connection(numbers: range, *, ours: bool = False, ended: float = 100.0) -> Connection:
    """One that answered every tenth of a second until it ended."""
    times = [ended - 0.1 * (len(numbers) - i) for i in range(len(numbers))]
    return Connection(list(numbers), times, ended, ours)


def faults(one: Told) -> tuple[int, int, int, int]:
    return one.repeated, one.duplicated, one.reordered, one.wrong


def test_messages_in_order_are_as_they_should_be() -> None:
    one = told(message(5, 1), message(6, 2), message(9, 3, boot=2))
    assert faults(one) == (0, 0, 0, 0)
    assert (one.numbers, one.newest) == ({5, 6, 9}, 9)


def test_the_same_identity_again_is_a_repetition_and_the_same_number_under_another_a_duplicate() -> None:
    assert faults(told(message(5, 1), message(6, 2), message(5, 1))) == (1, 0, 0, 0)
    assert faults(told(message(5, 1), message(5, 2))) == (0, 1, 0, 0)


def test_a_repetition_that_says_something_else_is_wrong() -> None:
    assert faults(told(message(5, 1), message(6, 1))) == (1, 0, 0, 1)


def test_what_comes_after_something_newer_is_out_of_order() -> None:
    assert faults(told(message(5, 2), message(6, 1))) == (0, 0, 1, 0)
    assert faults(told(message(6, 1), message(5, 2))) == (0, 0, 1, 0)


def test_values_of_another_answer_are_wrong() -> None:
    mixed = message(5, 1)
    mixed.values[7] += 1
    assert told(mixed).wrong == 1
    short = message(5, 1)
    short.tags.pop(), short.values.pop(), short.status.pop()
    assert told(short).wrong == 1


def test_a_message_that_is_not_good_has_no_number() -> None:
    bad = message(5, 1)
    bad.status[0] = 0x800A0000
    one = told(bad, replace(message(6, 2)))
    assert (one.numbers, faults(one)) == ({6}, (0, 0, 0, 0))


def test_what_is_missing_is_lost_on_either_side() -> None:
    verdict = judge([connection(range(1, 11))], set(range(1, 11)) - {4}, [*range(1, 10)])
    assert (verdict.produced, verdict.lost_bus, verdict.lost_history) == (10, 1, 1)
    assert (verdict.unread, verdict.duplicated) == (0, 0)


def test_only_the_end_of_a_connection_that_we_broke_may_be_unread() -> None:
    kept = set(range(1, 9))
    broken = judge([connection(range(1, 11), ours=True)], kept, sorted(kept))
    assert (broken.lost_bus, broken.lost_history, broken.unread) == (0, 0, 2)
    assert broken.unread_s == pytest.approx(0.2)
    assert judge([connection(range(1, 11))], kept, sorted(kept)).lost_bus == 2
    hole = judge([connection(range(1, 11), ours=True)], kept - {5}, sorted(kept - {5}))
    assert (hole.lost_bus, hole.unread) == (1, 2)


def test_what_was_answered_long_before_the_end_is_lost() -> None:
    verdict = judge([connection(range(1, 31), ours=True)], set(range(1, 11)), list(range(1, 11)))
    assert verdict.unread + verdict.lost_bus == 20
    assert verdict.unread <= 10


def test_what_one_side_has_the_other_has_to_have_too() -> None:
    verdict = judge([connection(range(1, 4), ours=True)], {1, 2, 3}, [1, 2])
    assert (verdict.unread, verdict.lost_bus, verdict.lost_history) == (0, 0, 1)


def test_what_is_stored_twice_or_was_never_answered_is_a_duplicate() -> None:
    assert judge([connection(range(1, 4))], {1, 2, 3}, [1, 2, 2, 3]).duplicated == 1
    assert judge([connection(range(1, 4))], {1, 2, 3}, [1, 2, 3, 7]).duplicated == 1


def test_percentiles() -> None:
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.0, 0.5, 1.0)] == [1.0, 2.0, 3.0]
    assert percentile([], 0.5) == 0.0
