"""The KPIs of ISO 22400-2 as ratios of summed elements, and the six big losses. Pure.

A KPI whose denominator is 0 is not defined: None, neither 0 nor 1. One above 1 says that an ideal cycle is wrong; it is
told as it is. MTBF and MTTR divide by FE, the failures that began, as is common; the printed standard does not always.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from gateway.production.elements import Elements


@dataclass(frozen=True, slots=True)
class Kpi:
    """A definition, with the words of KPI-ML: `trend` is whether higher or lower is better."""

    name: str
    unit: str
    formula: str
    trend: str
    ratio: Callable[[Elements], tuple[Fraction, Fraction]]

    def of(self, found: Elements) -> Fraction | None:
        """Return the KPI, or None if it is not defined."""
        above, below = self.ratio(found)
        return above / below if below else None


def _plain(name: str, above: str, below: str, unit: str = "1", trend: str = "higher", formula: str = "") -> Kpi:
    def ratio(found: Elements) -> tuple[Fraction, Fraction]:
        return sum((found[part] for part in above.split("+")), Fraction(0)), found[below]

    return Kpi(name, unit, formula or f"{' + '.join(above.split('+'))} / {below}", trend, ratio)


_LOWER: Final = "lower"
KPIS: Final[Mapping[str, Kpi]] = {
    kpi.name: kpi
    for kpi in (
        _plain("oee", "ideal_good", "PBT", formula="PRI * GQ / PBT"),
        _plain("availability", "APT", "PBT"),
        _plain("effectiveness", "ideal", "APT", formula="PRI * PQ / APT"),
        _plain("quality", "GQ", "PQ"),
        Kpi(
            "nee",
            "1",
            "AUPT / PBT * PRI * GQ / APT",
            "higher",
            lambda e: (e["AUPT"] * e["ideal_good"], e["PBT"] * e["APT"]),
        ),
        _plain("teep", "ideal_good", "calendar", formula="PRI * GQ / calendar time"),
        _plain("loading", "PBT", "calendar", formula="PBT / calendar time"),
        _plain("utilization", "APT", "AUBT"),
        _plain("allocation", "AUBT", "PBT"),
        _plain("setup_ratio", "AUST", "AUPT", trend=_LOWER),
        Kpi(
            "technical_efficiency",
            "1",
            "APT / (APT + ADET)",
            "higher",
            lambda e: (e["APT"], e["APT"] + e["ADET"]),
        ),
        _plain("production_process_ratio", "APT", "AOET"),
        _plain("allocation_ratio", "AUBT", "AOET"),
        _plain("mtbf", "AUPT", "FE", "s"),
        _plain("mttr", "breakdown", "FE", "s", _LOWER),
        Kpi(
            "corrective_maintenance_ratio",
            "1",
            "CMT / (CMT + PMT)",
            _LOWER,
            lambda e: (e["CMT"], e["CMT"] + e["PMT"]),
        ),
        _plain("scrap_ratio", "SQ", "PQ", trend=_LOWER),
        _plain("rework_ratio", "RQ", "PQ", trend=_LOWER),
        _plain("throughput", "PQ", "AOET", "{piece}/s"),
        _plain("energy_per_unit", "energy", "PQ", "/{piece}", _LOWER, "energy / PQ"),
        Kpi(
            "coverage",
            "1",
            "PBT / (PBT + unknown)",
            "higher",
            lambda e: (e["PBT"], e["PBT"] + e["unknown"]),
        ),
    )
}

LOSSES: Final[Mapping[str, tuple[str, Callable[[Elements], Fraction]]]] = {
    "breakdowns": ("failures, repairs, long delays", lambda e: e["breakdown"]),
    "setup": ("AUST", lambda e: e["AUST"]),
    "minor_stops": ("waiting, delays no longer than a minor stop", lambda e: e["minor"]),
    "reduced_speed": ("APT - PRI * PQ", lambda e: e["APT"] - e["ideal"]),
    "startup_rejects": ("PRI * SQ soon after a setup", lambda e: e["ideal_startup"]),
    "production_rejects": (
        "PRI * SQ otherwise",
        lambda e: e["ideal"] - e["ideal_good"] - e["ideal_startup"],
    ),
    "not_executing": ("ADOT without failures; none of the six", lambda e: e["idle"]),
}
"""Meaning and amount [s] by name; together with PRI * GQ they are PBT."""


def units(energy: str) -> dict[str, str]:
    """Return the units of all KPIs (UCUM), where energy is counted in this one."""
    return {name: energy + kpi.unit if name == "energy_per_unit" else kpi.unit for name, kpi in KPIS.items()}


def kpis(found: Elements) -> dict[str, Fraction | None]:
    """Return all KPIs by name."""
    return {name: kpi.of(found) for name, kpi in KPIS.items()}


def losses(found: Elements) -> dict[str, Fraction]:
    """Return the losses in minutes, by name."""
    return {name: amount(found) / 60 for name, (_, amount) in LOSSES.items()}
