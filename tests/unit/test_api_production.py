"""An ERP's day over HTTP: orders, commands, KPIs, reasons, and the tables that a spreadsheet reads."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest

from api.access import Client
from api.app import create
from gateway.model import Batch, Catalog, Record, Tag
from gateway.production.desk import Desk
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper, Settings
from gateway.production.states import STATES
from gateway.production.unit import Unit
from tests.drive import SITE, Hall, Heard, Still, shown
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS

SECOND_NS = 10**9
ASSET = f"{SITE}/line1/filler"
ROLES = {"state": f"{ASSET}/state", "produced": f"{ASSET}/processed", "scrap": f"{ASSET}/rejected"}
TOKENS = {"erp": Client("erp-0123456789abcdef", "operator"), "viewer": Client("viewer-0123456789abcdef", "viewer")}
ORDER = {
    "ID": "JO-77",
    "HierarchyScope": {"EquipmentID": "line1/filler", "EquipmentLevel": "WorkUnit"},
    "StartTime": "2026-01-05T06:00:00Z",
    "EndTime": "2026-01-05T14:00:00Z",
    "Command": "Start",
    "MaterialRequirement": [
        {"MaterialDefinitionID": ["SKU-9"], "MaterialLotID": ["L-88"], "MaterialUse": "Produced",
         "Quantity": [{"QuantityString": "950"}]}
    ],
}  # fmt: skip


class Clock:
    """2026-01-05T06:00:00Z and what a test adds."""

    def __init__(self) -> None:
        self.ns = EPOCH_NS

    def now_ns(self) -> int:
        return self.ns


class Office:
    """An ERP in front of the API, and a machine behind it."""

    def __init__(self, http: httpx.AsyncClient, keeper: Keeper, clock: Clock, audit: Heard) -> None:
        self.http = http
        self.audit = audit
        self.clock = clock
        self._keeper = keeper
        self._records = 0
        self._keys = 0

    async def machine(self, second: int, state: int, processed: int, rejected: int) -> None:
        """Say how the machine is so many seconds after the beginning, which is now then."""
        self.clock.ns = EPOCH_NS + second * SECOND_NS
        await self.tell(state, processed, rejected)

    async def tell(self, state: int, processed: int, rejected: int) -> None:
        """Say how the machine is now."""
        self._records += 1
        batch = Batch.of([0, 1, 2], self.clock.ns, np.array([state, processed, rejected]))
        await self._keeper.write([Record(self._records, 0, 1, self._records, self.clock.ns, (batch,))])

    async def post(self, path: str, body: Any, key: str = "", who: str = "erp") -> httpx.Response:
        self._keys += 1
        headers = {"Idempotency-Key": key or f"k{self._keys}", "Authorization": f"Bearer {TOKENS[who].token}"}
        headers["Content-Type"] = "application/json"
        return await self.http.post(f"/api/v1/{path}", content=json.dumps(body), headers=headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {TOKENS['viewer'].token}"}
        return await self.http.get(f"/api/v1/{path}", headers=bearer | headers)


@pytest.fixture(name="office")
async def an_office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = Clock()
    catalog = Catalog(Tag(ASSET, name) for name in ("state", "processed", "rejected"))
    file = ProductionFile(tmp_path / "production.db")
    unit = Unit("filler", ASSET, ROLES, STATES["packml"], cycle_s=None)
    keeper = Keeper(file, inline, catalog, clock, [unit], Settings("j", 10**18))
    hall = Hall(Still())
    with shown(hall, tmp_path, clock) as (view, _):
        view.production = Desk(keeper, file, inline, clock)
        transport = httpx.ASGITransport(create(view, TOKENS), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield Office(http, keeper, clock, hall.audit)
    file.close()


async def day(office: Office) -> httpx.Response:
    """06:00 to 07:00: half an hour of production, ten minutes of failure, twenty of production."""
    await office.machine(0, 4, 1_000, 10)
    taken = await office.post("orders", ORDER)
    await office.machine(1, 6, 1_000, 10)
    await office.machine(1_800, 9, 1_600, 40)
    await office.machine(2_400, 6, 1_600, 40)
    await office.machine(3_600, 6, 2_000, 50)
    return taken


async def test_an_order_follows_the_counters_from_start_to_stop(office: Office) -> None:
    taken = await day(office)
    assert (taken.status_code, taken.headers["location"]) == (201, "/api/v1/orders/JO-77")
    assert taken.json()["JobResponse"]["JobState"] == "Running", "its time has come, and its unit is free"
    office.clock.ns += 1
    stopped = await office.post("orders/JO-77/commands", {"Command": "Stop"})
    assert stopped.status_code == 200
    told = (await office.get("orders/JO-77")).json()
    assert told == stopped.json()
    assert (told["JobOrder"]["ID"], told["JobResponse"]["JobState"]) == ("JO-77", "Completed")
    data = {one["ID"]: one["Value"][0]["ValueString"] for one in told["JobResponse"]["JobResponseData"]}
    assert {name: data[name] for name in ("ProducedQuantity", "GoodQuantity", "ScrapQuantity")} == {
        "ProducedQuantity": "1000", "GoodQuantity": "960", "ScrapQuantity": "40",
    }  # fmt: skip
    assert float(data["ActualUnitDownTime"]) == 600


async def test_a_counter_that_was_set_counts_nothing_and_the_response_says_so(office: Office) -> None:
    await office.machine(0, 6, 50_000, 700)
    await office.post("orders", ORDER)
    await office.machine(60, 6, 50_040, 702)
    await office.machine(120, 6, 1_500, 20)
    await office.machine(180, 6, 1_530, 21)
    office.clock.ns += 1
    data = (await office.get("orders/JO-77")).json()["JobResponse"]["JobResponseData"]
    told = {one["ID"]: one["Value"][0]["ValueString"] for one in data}
    assert (told["ProducedQuantity"], told["ScrapQuantity"], told["CounterResets"]) == ("70", "3", "2")


async def test_the_same_key_is_the_same_answer_and_another_wish_is_refused(office: Office) -> None:
    first, again = [await office.post("orders", ORDER, "same") for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = await office.post("orders", ORDER | {"ID": "JO-78"}, "same")
    assert (other.status_code, other.json()["detail"]) == (
        422,
        "this Idempotency-Key was used for something else: take a new one",
    )
    bare = await office.http.post(
        "/api/v1/orders", json=ORDER, headers={"Authorization": f"Bearer {TOKENS['erp'].token}"}
    )
    assert bare.status_code == 400


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({}, 409, "urn:itot-gateway:order-exists"),
        ({"ID": "JO-78"}, 409, "urn:itot-gateway:order-overlaps"),
        ({"ID": "JO-78", "StartTime": "2026-01-05T01:00:00Z", "EndTime": "2026-01-05T02:00:00Z"}, 422,
         "urn:itot-gateway:order-late"),
        ({"ID": "JO-78", "HierarchyScope": {"EquipmentID": "mixer"}}, 404, "about:blank"),
        ({"ID": "JO-78", "StartTime": "2026-01-05T16:00:00"}, 422, "about:blank"),
        ({"ID": "JO-78", "EndTime": "2026-01-05T05:00:00Z"}, 422, "about:blank"),
        ({"ID": "JO 78"}, 422, "about:blank"),
        ({"ID": "JO-78", "Comment": "\ud800"}, 422, "about:blank"),
    ],
)  # fmt: skip
async def test_what_cannot_be_taken_is_a_clear_problem(
    office: Office, changes: dict[str, Any], status: int, kind: str
) -> None:
    assert (await office.post("orders", ORDER)).status_code == 201
    answer = await office.post("orders", ORDER | changes)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert answer.json()["detail"]


async def test_commands_that_cannot_be_done_say_what_can(office: Office) -> None:
    await office.post("orders", ORDER)
    refused = await office.post("orders/JO-77/commands", {"Command": "Resume"})
    assert refused.status_code == 409
    assert refused.json()["detail"] == "order JO-77 is Running: Resume cannot be done, but Pause, Stop, Abort"
    assert (await office.post("orders/JO-1/commands", {"Command": "Stop"})).status_code == 404
    assert (await office.post("orders/JO-77/commands", {"Command": "Fly"})).status_code == 422


async def test_lots_that_are_booked_are_in_the_response(office: Office) -> None:
    await office.post("orders", ORDER)
    lot = {"MaterialDefinitionID": ["CAP-1"], "MaterialLotID": ["C-5"], "MaterialUse": "Consumed"}
    await office.post("orders/JO-77/materials", lot)
    actual = (await office.get("orders/JO-77")).json()["JobResponse"]["MaterialActual"]
    assert [one["MaterialLotID"] for one in actual] == [["L-88"], ["C-5"]]


async def test_kpis_come_with_their_elements_as_rational_numbers(office: Office) -> None:
    await day(office)
    for scope in ("filler", "line1", f"{SITE}/line1/filler"):
        told = (await office.get(f"kpis/{scope}?start=2026-01-05T06:00:00Z&end=2026-01-05T07:00:00Z")).json()
        assert told["elements"]["APT"] == {
            "value": 2999,
            "exact": "2999",
            "unit": "s",
            "meaning": "actual production time",
        }
        assert told["kpis"]["availability"]["exact"] == "2999/3600"
        assert told["kpis"]["oee"]["value"] == 0, "nobody said how fast it can be: nothing has a price"
        assert told["losses"]["breakdowns"]["value"] == 10
    assert (await office.get("kpis/filler?order=JO-77")).json()["elements"]["AOET"]["value"] == 3_600
    assert (await office.get("kpis/filler?order=JO-1")).status_code == 404
    assert (await office.get("kpis/mixer")).status_code == 404


async def test_the_units_say_what_they_do_now(office: Office) -> None:
    assert [one["state"] for one in (await office.get("units")).json()] == ["unknown"]
    await day(office)
    (unit,) = (await office.get("units")).json()
    assert (unit["name"], unit["asset"], unit["state"]) == ("filler", ASSET, "producing")
    assert unit["shift"] == {"name": "", "start": "2026-01-05T00:00:00.000000Z", "end": "2026-01-06T00:00:00.000000Z"}
    assert (unit["order"]["planned"], unit["order"]["response"]["JobOrderID"]) == (950, "JO-77")


async def test_an_operator_says_why_and_the_table_has_it(office: Office) -> None:
    await day(office)
    why = {"unit": "filler", "begin": "2026-01-05T06:30:00.000000Z", "code": "=LABEL", "text": "reel ran out"}
    assert (await office.post("downtime", why, who="viewer")).status_code == 403
    assert (await office.post("downtime", why)).json()["reason"] == "=LABEL"
    assert (await office.post("downtime", why | {"begin": "2026-01-05T06:31:00Z"})).status_code == 404
    asked = "odata/Downtime?start=2026-01-05T05:00:00Z&end=2026-01-05T08:00:00Z&$filter=Breakdown eq true"
    (row,) = (await office.get(asked)).json()["value"]
    assert (row["Begin"], row["End"], row["Seconds"]) == (
        "2026-01-05T06:30:00.000000Z",
        "2026-01-05T06:40:00.000000Z",
        600,
    )
    assert (row["Kind"], row["Reason"], row["SaidBy"]) == ("failure", "=LABEL", "erp")
    lines = list(csv.reader(io.StringIO((await office.get(f"{asked}&$select=Unit,Reason&$format=csv")).text)))
    assert lines == [["Unit", "Reason"], ["filler", "'=LABEL"]], "no formula for a spreadsheet"


async def test_the_audit_trail_has_what_was_done_once(office: Office) -> None:
    await day(office)
    for _ in range(2):
        await office.post("orders/JO-77/commands", {"Command": "Stop"}, "stop")
    await office.post("downtime", {"unit": "filler", "begin": "2026-01-05T06:30:00.000000Z", "code": "JAM"})
    await office.post("orders/JO-77/materials", {"MaterialLotID": ["C-5"], "MaterialUse": "Consumed"})
    deeds = [(one.action, one.object, one.value, one.who) for one in office.audit.entries if one.action != "POST"]
    assert deeds == [
        ("order", "JO-77", "Start", "erp"),
        ("order", "JO-77", "Stop", "erp"),
        ("explain", "filler@2026-01-05T06:30:00.000000Z", "JAM", "erp"),
        ("order", "JO-77", ["C-5"], "erp"),
    ]
    assert [one.detail for one in office.audit.entries if one.action == "POST"] == ["200"], "nothing came of it again"


async def test_a_stop_may_begin_within_a_microsecond(office: Office) -> None:
    await office.machine(0, 6, 1_000, 10)
    office.clock.ns += 700  # an OPC UA server has times of 100 ns
    await office.tell(9, 1_000, 10)
    why = {"unit": "filler", "begin": "2026-01-05T06:00:00.000000Z", "code": "JAM"}
    assert (await office.post("downtime", why)).status_code == 200
    (row,) = (await office.get("odata/Downtime?start=2026-01-05T06:00:00Z&end=2026-01-05T07:00:00Z")).json()["value"]
    assert (row["Begin"], row["Reason"]) == (why["begin"], "JAM")


async def test_pages_of_a_table_have_every_row_once(office: Office) -> None:
    for n in range(7):
        order = {"ID": f"JO-{n}", "HierarchyScope": {"EquipmentID": "filler"}, "Priority": n % 3}
        assert (await office.post("orders", order)).status_code == 201
    url, found = "odata/Orders?$orderby=Priority desc&$count=true&$select=ID,Priority", []
    while url:
        page = (await office.get(url, Prefer="odata.maxpagesize=3")).json()
        assert page["@odata.count"] == 7
        found += page["value"]
        url = page.get("@odata.nextLink", "").removeprefix("http://gateway/api/v1/")
    assert [row["ID"] for row in found] == ["JO-2", "JO-5", "JO-1", "JO-4", "JO-0", "JO-3", "JO-6"]
    top = (await office.get("odata/Orders?$top=2&$filter=ProducedQuantity eq 0")).json()
    assert ([row["ID"] for row in top["value"]], "@odata.nextLink" in top) == (["JO-0", "JO-1"], False)
    for wrong in ("$filter=Id eq 1", "$top=-1", "$skiptoken=%20", "$apply=x"):
        assert (await office.get(f"odata/Orders?{wrong}")).status_code == 400
    assert (await office.get("odata/Orders?$skiptoken=Sk8tOTk=")).status_code == 410


async def test_the_metadata_names_every_column_that_comes(office: Office) -> None:
    await day(office)
    tree = ElementTree.fromstring((await office.get("odata/$metadata")).text)
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    types = {
        one.attrib["Name"]: [p.attrib["Name"] for p in one.iter(f"{edm}Property")]
        for one in tree.iter(f"{edm}EntityType")
    }
    sets = (await office.get("odata")).json()["value"]
    assert [one["url"] for one in sets] == ["Orders", "Kpis", "Downtime"]
    for name in ("Orders", "Kpis", "Downtime"):
        rows = (await office.get(f"odata/{name}?start=2026-01-05T00:00:00Z&end=2026-01-06T00:00:00Z")).json()["value"]
        assert rows
        assert all(list(row) == types[f"{name}Row"] for row in rows)
