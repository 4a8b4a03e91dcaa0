"""Energy has the unit of its counter, in orders, KPIs and tables; a line adds it up in one unit, or not at all."""

import asyncio
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.production import _told
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.unit import ratio
from gateway.production.desk import Desk
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper, Settings
from gateway.production.states import STATES
from gateway.production.unit import Unit
from tests.inline import inline

LINE = "acme/dresden/line1"
SECOND_NS = 10**9
UNITS = {"filler": "kW.h", "capper": "MJ"}


class Clock:
    def now_ns(self) -> int:
        return 100 * SECOND_NS


def unit(name: str) -> Unit:
    roles = {role: f"{LINE}/{name}/{role}" for role in ("state", "produced", "energy")}
    return Unit(name, f"{LINE}/{name}", roles, STATES["packml"])


@pytest.fixture(name="desk")
def a_line(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Both machines make 100 pieces in 100 s with 2 of what their counters count."""
    units = UNITS | getattr(request, "param", {})
    tags = [
        Tag(f"{LINE}/{name}", role, unit=code if role == "energy" else "")
        for name, code in units.items()
        for role in ("state", "produced", "energy")
    ]
    catalog = Catalog(tags)
    file = ProductionFile(tmp_path / "production.db")
    keeper = Keeper(file, inline, catalog, Clock(), [unit(name) for name in units], Settings("j", 10**18))
    for n, time in enumerate((0, 99), 1):
        values = np.array([6.0, 50 + 100 * (n - 1), 7.5 + 2 * (n - 1)] * len(units))
        batch = Batch.of(list(range(len(tags))), time * SECOND_NS, values)
        asyncio.run(keeper.write([Record(n, 0, 1, n, time * SECOND_NS, (batch,))]))
    yield Desk(keeper, file, inline, Clock())
    file.close()


def told(desk: Desk, scope: str) -> Any:
    found, _ = desk.elements(scope, 0, 100 * SECOND_NS)
    return _told(found, desk.energy_unit(scope))


def test_energy_per_unit_has_the_unit_of_the_counter(desk: Desk) -> None:
    for name, code in UNITS.items():
        answer = told(desk, name)
        assert (answer["elements"]["energy"]["exact"], answer["elements"]["energy"]["unit"]) == ("2", code)
        per = answer["kpis"]["energy_per_unit"]
        assert (per["exact"], per["unit"], per["formula"]) == ("1/50", f"{code}/{{piece}}", "energy / PQ")


def test_energy_of_a_line_is_added_up_in_the_unit_of_its_first_machine(desk: Desk) -> None:
    answer = told(desk, LINE)
    assert (answer["elements"]["energy"]["exact"], answer["elements"]["energy"]["unit"]) == ("23/9", "kW.h")
    assert answer["elements"]["PQ"]["exact"] == "200"


@pytest.mark.parametrize("desk", [{"capper": "m3"}], indirect=True)
def test_gas_is_not_added_to_electricity(desk: Desk) -> None:
    with pytest.raises(ValueError, match="energy of capper in m3 is not to be added to some in kW"):
        told(desk, LINE)
    assert told(desk, "capper")["kpis"]["energy_per_unit"]["unit"] == "m3/{piece}"


def test_an_order_says_what_its_energy_is_counted_in_and_until_when_it_is_known(desk: Desk) -> None:
    order = {"id": "JO-1", "unit": "filler", "state": "Ended", "begin": 0, "end": 100 * SECOND_NS}
    response = desk.response(order | {"material": [], "lots": [], "consumed": []})
    data = {one["ID"]: one["Value"][0] for one in response["JobResponseData"]}
    assert (data["Energy"]["ValueString"], data["Energy"]["UnitOfMeasure"]) == ("2", "kW.h")
    assert data["KnownUntil"]["ValueString"] == "1970-01-01T00:01:39.000000Z"
    gone = desk.response(order | {"unit": "mixer", "material": [], "lots": [], "consumed": []})
    assert "KnownUntil" not in {one["ID"] for one in gone["JobResponseData"]}, "the unit is not configured any more"


def test_units_of_energy_are_exact() -> None:
    assert (ratio("kW.h", "MJ"), ratio("MJ", "kW.h"), ratio("kW.h", "W.h")) == (
        Fraction(18, 5),
        Fraction(5, 18),
        Fraction(1000),
    )
