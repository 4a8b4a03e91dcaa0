"""How many commands are taken, second by second, and that a flood is one line of the log."""

import pytest

from gateway.bus.allowance import BURST, PER_S, Allowance


def test_a_burst_is_taken_and_then_so_many_per_second(caplog: pytest.LogCaptureFixture) -> None:
    allowance = Allowance("commands")
    assert [allowance.take(100.0) for _ in range(BURST + 10)] == [True] * BURST + [False] * 10
    assert sum(allowance.take(100.0 + i / 100) for i in range(1, 1001)) == 10 * PER_S
    assert caplog.messages == ["commands are refused: more than 10 per second come"]


def test_a_flood_after_a_quiet_time_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    allowance = Allowance("commands")
    for start_s in (100.0, 200.0):
        assert sum(allowance.take(start_s) for _ in range(1000)) == BURST
    assert len(caplog.messages) == 2
