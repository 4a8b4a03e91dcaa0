"""From the section `alarms` to what is judged: levels, globs, setpoints, and findings with a remedy."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest

from gateway.alarms.rule import Kind, Rule
from gateway.config import ConfigError, load
from gateway.model import Catalog
from gateway.model.tag import EVENT
from gateway.plan import plan
from gateway.plugins import Protocols, signal_kinds
from tests.simulation.loop import LoopClock

PLANT = """\
site: {enterprise: acme, site: dresden}
devices:
  tank:
    connect: modbus://10.0.0.7
    asset: hall/tank
    tags:
      level: {register: "holding:1"}
      level_set: {register: "holding:2"}
      mode: {register: "holding:3"}
  pump:
    connect: modbus://10.0.0.8
    asset: hall/pump
    tags:
      flow: {register: "holding:1"}
alarms:
  rules:
"""
Planned = Callable[[str], dict[str, Rule]]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """Plan the rules of a text, by id."""

    def run(text: str) -> dict[str, Rule]:
        path = tmp_path / "gateway.yaml"
        path.write_text(PLANT + indent(dedent(text), "    "), encoding="utf-8")
        config, document = load(path, Protocols(), signal_kinds(), tmp_path)
        found = plan(config, document, Catalog(), Protocols(), signal_kinds(), LoopClock())
        assert {rule.asset for rule in found.alarms} == {
            tag.asset for tag in found.catalog.tags if tag.name == "_events/alarms" and tag.datatype == EVENT
        }
        return {rule.id: rule for rule in found.alarms}

    return run


def test_each_level_is_an_alarm_with_its_priority(planned: Planned) -> None:
    found = planned("""
        full: {tag: hall/tank/level, limits: {high_high: 95, high: 90, low: 5}, deadband: 2, on_delay: 10s,
               priority: medium, level_priorities: {high_high: high}, latching: true, response: close the inlet}
    """)
    judged = {name: (rule.limit, rule.high, rule.priority, rule.severity) for name, rule in found.items()}
    assert judged == {
        "hall/tank/level/full_high_high": (95.0, True, "high", 800),
        "hall/tank/level/full_high": (90.0, True, "medium", 500),
        "hall/tank/level/full_low": (5.0, False, "medium", 500),
    }
    high = found["hall/tank/level/full_high"]
    assert (high.name, high.source, high.asset) == ("full_high", "level", "acme/dresden/hall/tank")
    assert (high.deadband, high.on_delay_ns, high.latching, high.response) == (2.0, 10**10, True, "close the inlet")


def test_the_other_conditions(planned: Planned) -> None:
    found = planned("""
        far: {tag: hall/tank/level, deviation: {high: 5, low: -5, setpoint: hall/tank/level_set}}
        off: {tag: hall/tank/level, deviation: {high: 3, setpoint: 50}}
        fast: {tag: hall/tank/level, rate: {rise: 1, fall: 2, per: 1min}}
        mode: {tag: hall/tank/mode, normal: auto}
        odd: {tag: hall/tank/mode, values: [3, 4]}
        lost: {tag: "hall/*", comms: {silent: 1min}}
    """)
    assert found["hall/tank/level/far_low"].setpoint == "acme/dresden/hall/tank/level_set"
    assert found["hall/tank/level/off_high"].setpoint == 50.0
    fall = found["hall/tank/level/fast_fall"]
    assert (fall.kind, fall.limit, fall.high, fall.per_ns) == (Kind.RATE, -2.0, False, 60 * 10**9)
    assert (found["hall/tank/mode/mode"].kind, found["hall/tank/mode/mode"].values) == (Kind.OFF_NORMAL, ("auto",))
    assert (found["hall/tank/mode/odd"].kind, found["hall/tank/mode/odd"].values) == (Kind.DISCRETE, (3.0, 4.0))
    lost = [rule.tag for rule in found.values() if rule.kind is Kind.COMMS]
    assert len(lost) == 4


@pytest.mark.parametrize(
    ("rule", "what", "remedy"),
    [
        ("{tag: hall/tank/levle, values: 1}", "is no tag: hall/tank/levle", "did you mean hall/tank/level?"),
        ("{tag: yard/*, values: 1}", "no tag is like yard/*", "write a glob"),
        ("{tag: hall/tank/level, deviation: {high: 1, setpoint: hall/tank/set}}", "is no tag", "did you mean"),
        ("{tag: hall/tank/level}", "an alarm has one of limits", ""),
        ("{tag: hall/tank/level, values: 1, normal: 2}", "an alarm has one of limits", ""),
        ("{tag: hall/tank/level, limits: {high: 1, low: 2}}", "each above the next", ""),
        ("{tag: hall/tank/level, limits: {}}", "give one of", ""),
        ("{tag: hall/tank/level, rate: {per: 1s}}", "give rise, fall, or both", ""),
        ("{tag: hall/tank/level, values: [1, on]}", "numbers or texts, not both", ""),
        ("{tag: hall/tank/level, values: 1, priority: urgent}", "urgent is none of the priorities: low", ""),
    ],
)
def test_what_cannot_be_judged_is_a_finding(planned: Planned, rule: str, what: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(f"wrong: {rule}")
    assert what in str(caught.value)
    assert remedy in str(caught.value)


def test_two_alarms_of_one_name_are_a_finding(planned: Planned) -> None:
    with pytest.raises(ConfigError, match="two alarms hall/tank/level/full_high"):
        planned("""
            full: {tag: hall/tank/level, limits: {high: 90}}
            full_high: {tag: hall/tank/level, values: 1}
        """)
