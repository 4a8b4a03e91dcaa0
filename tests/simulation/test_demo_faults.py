"""The demonstration's faults: each is advised before it has done its worst, its cause first, and nothing else is.

A whole week without a fault, and more seeds: `python -m tests.simulation.demo_plant`.
"""

from functools import cache

import pytest

from tests.simulation.demo_plant import Floor, Told

HOURS = 4.6
SEEDS = (1, 2, 3)
FAULTS = [
    ("bearing_wear", "utilities/pump1", "bearing_wear", "_maintenance/bearing_kurtosis"),
    ("drift", "packaging/line1/capper", "drift:torque", "torque"),
    ("stuck_sensor", "packaging/line1/filler", "stuck:bowl_level", "bowl_level"),
    ("fouling", "utilities/compressor1", "fouled_filter", "filter_drop"),
    ("cavitation", "utilities/pump1", "cavitation", "flow"),
]
"""Kind of fault in the plant file, where, what is advised, and a tag that must be among the first two causes."""


@cache
def morning(seed: int) -> Told:
    return Floor(seed, faults=True).run(HOURS)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("kind", "asset", "advised", "tag"), FAULTS)
def test_each_fault_is_advised_in_time_with_its_cause(seed: int, kind: str, asset: str, advised: str, tag: str) -> None:
    told = morning(seed)
    begun = next(event.at_s / 60 for event in told.events if (event.kind, event.what) == (kind, "on"))
    ends = (e.at_s / 60 for e in told.events if e.kind == kind and e.what in ("failed", "off"))
    at, first = next((at, value) for at, value in told.advice() if value["ConditionName"] == advised)
    assert begun < at < next(ends, 60 * HOURS)
    assert first["Asset"].endswith(asset)
    assert tag in list(first["Cause"])[:2]
    assert first["Message"].startswith(advised.replace("_", " ").capitalize()[:6]) or ":" in advised


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_else_is_advised(seed: int) -> None:
    others = [
        value["Message"] for _, value in morning(seed).advice() if value["ConditionName"] not in {f[2] for f in FAULTS}
    ]
    raised = [value["AdviceId"] for _, value in morning(seed).advice()]
    assert others == []
    assert len(raised) == len(set(raised)), "each once"


@pytest.mark.parametrize("seed", [11, 12])
def test_a_shift_without_a_fault_is_a_shift_without_advice(seed: int) -> None:
    assert [value["Message"] for _, value in Floor(seed, faults=False).run(4.0).advice()] == []
