"""Units: codes of UCUM as numbers, and formulas that mix what cannot be mixed."""

import re

import pytest

from connectors._opcua.metadata import _BY_CODE
from gateway.model.unit import unit
from gateway.score.ai4i import _RULES
from gateway.signals._units import check

UNITS = {
    "t": "Cel", "t2": "Cel", "k": "K", "p": "bar", "q": "mbar", "power": "kW", "torque": "N.m", "speed": "{rev}/min",
    "flow": "m3/h", "odd": "furlongs", "plain": "", "share": "%", "ratio": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "factor", "offset"),
    [
        ("kW.h", "J", 3.6e6, 0), ("m3/h", "L/min", 1000 / 60, 0), ("mm/s", "m/s", 1e-3, 0), ("um", "mm", 1e-3, 0),
        ("Cel", "K", 1, 273.15), ("[degF]", "Cel", 5 / 9, -160 / 9), ("K", "Cel", 1, -273.15),
        ("/min", "Hz", 1 / 60, 0), ("{rev}/min", "Hz", 1 / 60, 0), ("N.m.rad/s", "W", 1, 0),
        ("V.A{reactive}", "W", 1, 0), ("min", "s", 60, 0),
        ("mg/L", "kg/m3", 1e-3, 0), ("kg.m2/s3", "W", 1, 0), ("m.s-1", "m/s", 1, 0), ("%", "1", 0.01, 0),
        ("{piece}/h", "/h", 1, 0), ("[g]", "m/s2", 9.80665, 0), ("MOhm", "kOhm", 1000, 0),
    ],
)  # fmt: skip
def test_one_unit_in_another(one: str, other: str, factor: float, offset: float) -> None:
    assert unit(one).to(unit(other)) == pytest.approx((factor, offset))


@pytest.mark.parametrize(
    "code", ["°C", "m/s²", "foo", "kmin", "m//s", ".m", "m.", "m/", "m s", "/", "[furlong]", "kCel"]
)
def test_what_is_no_unit_is_refused_by_name(code: str) -> None:
    with pytest.raises(ValueError, match="is no unit that is known here"):
        unit(code)


def test_every_unit_that_a_server_can_tell_is_known() -> None:
    for code in _BY_CODE.values():
        unit(code)


def test_what_measures_something_else_cannot_be_converted() -> None:
    with pytest.raises(ValueError, match="do not measure the same"):
        unit("Cel").to(unit("kW"))


@pytest.mark.parametrize(
    ("formula", "result"),
    [
        ("t + 5 < t2", ""), ("t - t2", "K"), ("t + (t2 - t)", "Cel"), ("t - 1.5 * k", "Cel"), ("(t + t2) / 2", "Cel"),
        ("k - 273.15", "Cel"), ("t + 273.15", "K"), ("p + q * 0.001", "bar"), ("torque * speed * 2 * pi / 60", "W"),
        ("p * flow / 36", "kW"), ("max(p, 3)", "bar"), ("p if t > 20 else 0", "bar"), ("power + odd + plain", "kW"),
        ("sqrt(p * p) + p", "bar"), ("p ** 2 / p", "bar"), ("10 ** (8.1 - 1730 / (t + 233.4))", "mbar"),
        ("1 / speed", "min"), ("not p > 3 or power", ""), ("(p > 3) * power", "kW"), ("-p + abs(p)", "bar"),
        ("clip(share, 0, 100)", "%"), ("share / 100", "1"), ("ratio * power", "kW"), ("+p % 2", "bar"), ("pi * 2", ""),
        ("0 < p <= 5", ""), ("exp(t) + p", "bar"),
    ],
)  # fmt: skip
def test_formulas_of_an_engineer_pass(formula: str, result: str) -> None:
    check(formula, UNITS, result)


@pytest.mark.parametrize(
    ("formula", "result", "said"),
    [
        ("t + power", "", "t + power: Cel and kW do not measure the same"),
        ("2 * t - power / 3", "", "Cel and kW do not measure the same"),
        ("p + q", "", "p + q: bar and mbar differ by a factor of 1000: multiply one by it"),
        ("t < k", "", "t < k: Cel and K differ by -273.15: add it to one"),
        ("k + t", "", "K and Cel differ by 273.15"),
        ("t - power", "", "do not measure the same"),
        ("t + t2 if p > power else t", "", "p > power: bar and kW"),
        ("p if plain else t", "", "bar and Cel"),
        ("max(p, 3, t)", "", "bar and Cel"),
        ("not p > t", "", "p > t"),
        ("exp(p + t)", "", "p + t"),
        ("share + ratio", "", "differ by a factor of 0.01"),
        ("torque * speed", "W", "N.m*{rev}/min, and not in W"),
        ("p * flow", "Cel", "bar*m3/h, and not in Cel"),
        ("p * flow", "kW", "differ by a factor of 0.0277778: multiply one by it"),
        ("t - t2", "Cel", "in K, and not in Cel"),
        ("p + 1", "mbar", "differ by a factor of 1000"),
        ("t % power", "", "Cel and kW"),
        ("p / q", "1", "bar/mbar, and not in 1: differ by a factor of 1000"),
    ],
)  # fmt: skip
def test_what_mixes_units_is_told_with_place_and_remedy(formula: str, result: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        check(formula, UNITS, result)


def test_the_rules_of_the_benchmark_pass_with_its_units() -> None:
    units = {"air": "K", "process": "K", "speed": "{rev}/min", "torque": "N.m", "wear": "min", "type": "1"}
    for rule in _RULES.values():
        check(rule, units, "")
