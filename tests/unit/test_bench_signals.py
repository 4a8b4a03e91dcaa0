"""`gateway bench signals`: its table and its goals are of what was measured."""

from gateway.bench import signals
from gateway.bench.signals import Cost

COSTS = [
    Cost("bank, 1,000 tags", 100_000, 0.008, 0.001),
    Cost("shift, 1,000 tags", 100_000, 0.08, 0.001),
    Cost("novelty", 100_000, 0.5, 0.001),
    Cost("features", 4_096_000, 0.02, 0.01),
]


def test_goals_are_those_of_a_thousand_tags_and_of_all_waveforms() -> None:
    goals = signals.goals(COSTS)
    assert [round(goal.figure, 6) for goal in goals] == [0.08, 0.8, 20]
    assert [goal.met for goal in goals] == [True, False, True]


def test_the_table_has_each_as_a_multiple_of_the_limit() -> None:
    head, bank, *_ = signals.table(COSTS)
    assert head.split() == ["us", "each", "x", "limit"]
    assert bank.split() == ["bank,", "1,000", "tags", "0.0800", "8.0"]
