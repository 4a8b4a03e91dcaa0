"""The metrics of ISA-18.2, by hand."""

import numpy as np

from gateway.alarms.performance import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, flooded, performance


def test_a_day_with_one_flood() -> None:
    flood = [HOUR_NS + second * SECOND_NS for second in range(0, 240, 10)]  # 24 in 4 minutes, of one alarm
    others = [n * HOUR_NS for n in range(2, 8)]
    times = np.array(flood + others, np.int64)
    names = ["pump/high"] * 24 + ["level/low"] * 6
    found = performance(times, names, ["high"] * 24 + ["low"] * 6, 2, 0, DAY_NS)
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    assert found["alarms"] == values["per_day"] == 30
    assert values["per_hour"] == 30 / 24
    assert values["most_in_10_min"] == 24
    assert values["percent_of_10_min_over_10"] == 100 / 144
    assert values["percent_of_hours_over_30"] == 0
    assert values["percent_by_top_10"] == 100
    assert (values["chattering"], found["chattering"]) == (1, ["pump/high"])
    assert values["stale"] == 2
    assert found["top"][0] == {"id": "pump/high", "alarms": 24, "percent": 80.0}
    assert found["priorities"] == {"high": 80.0, "low": 20.0}
    # the tenth comes 90 s after the first; fewer than five of ten minutes are left when the 20th is ten minutes old
    begin, end = HOUR_NS + 90 * SECOND_NS, HOUR_NS + 190 * SECOND_NS + 10 * MINUTE_NS
    assert found["floods"] == [(begin, end)]
    assert values["percent_of_time_in_flood"] == 100 * (end - begin) / DAY_NS


def test_floods_are_cut_to_the_range_and_one_that_goes_on_ends_with_it() -> None:
    times = np.arange(20, dtype=np.int64) * SECOND_NS
    assert flooded(times, 0, HOUR_NS) == [(9 * SECOND_NS, 615 * SECOND_NS)]
    assert flooded(times, 20 * SECOND_NS, 30 * SECOND_NS) == [(20 * SECOND_NS, 30 * SECOND_NS)]
    assert flooded(times, HOUR_NS, 2 * HOUR_NS) == []
    assert flooded(times[:9], 0, HOUR_NS) == []


def test_nothing_happened() -> None:
    found = performance(np.empty(0, np.int64), [], [], 0, 0, MINUTE_NS)
    assert (found["alarms"], found["floods"], found["top"]) == (0, [], [])
    assert found["metrics"]["percent_of_hours_over_30"]["value"] is None, "there was no whole hour"
    assert found["metrics"]["most_in_10_min"]["value"] == 0
