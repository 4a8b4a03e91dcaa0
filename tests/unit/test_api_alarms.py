"""Alarms over HTTP: who may do what, in bulk, page by page; what a server acknowledges; the metrics."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.access import Client
from gateway.calls import Calls
from gateway.model.method import Argument, Called, Method
from tests.alarms import ASSET, HIGH, LATCHED, RULES, SECOND_NS, SLOW, Room, room
from tests.drive import SITE, Hall, Still, served

ROLES = ("viewer", "operator", "engineer")
TOKENS = {role: Client(f"{role}-0123456789abcdef", role) for role in ROLES} | {
    "erp": Client("erp-0123456789abcdef", "operator")
}
METHOD = f"{ASSET}/server/acknowledge"
TRIP = "hall/tank/server/motor_1/trip"


class Office:
    """A client of the API, and the register behind it."""

    def __init__(self, http: httpx.AsyncClient, tank: Room, hall: Hall) -> None:
        self.http, self.tank, self.hall = http, tank, hall

    async def get(self, path: str, who: str = "viewer", **query: Any) -> httpx.Response:
        return await self.http.get(f"/api/v1/alarms{path}", params=query, headers=bearer(who))

    async def ids(self, **query: Any) -> list[str]:
        return [alarm["id"] for alarm in (await self.get("", **query)).json()["alarms"]]

    async def post(self, deed: str, *ids: str, who: str = "operator", **more: Any) -> httpx.Response:
        wish = {"alarms": list(ids), "comment": "because", **more}
        return await self.http.post(f"/api/v1/alarms/{deed}", json=wish, headers=bearer(who))


def bearer(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[who].token}"}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    with room(tmp_path, methods=[METHOD]) as tank:
        hall = Hall(Still())
        hall.alarms = tank.keeper
        arguments = {"EventId": Argument(), "Comment": Argument()}
        hall.calls = Calls(hall.writes, SITE, {METHOD: Method("drive", "server/acknowledge", arguments)})
        async with served(hall, tmp_path, TOKENS) as http:
            yield Office(http, tank, hall)


async def test_what_is_open_is_listed_by_when_it_was_raised_page_by_page(office: Office) -> None:
    assert await office.ids() == []
    for tag, value in (("level", 7.0), ("heat", 12.0)):
        office.tank.clock.ns += SECOND_NS
        await office.tank.say(tag, value)
    assert await office.ids() == [LATCHED.id, HIGH.id]
    assert await office.ids(priority="medium") == [HIGH.id]
    assert await office.ids(asset="hall/tank") == await office.ids(asset=ASSET) == [LATCHED.id, HIGH.id]
    assert await office.ids(asset="hall/ta") == []
    assert await office.ids(state="normal") == [SLOW.id]
    first = (await office.get("", limit=1)).json()
    second = (await office.get("", limit=1, cursor=first["next"])).json()
    assert [first["alarms"][0]["id"], second["alarms"][0]["id"], second["next"]] == [LATCHED.id, HIGH.id, None]
    alarm = second["alarms"][0]
    assert (alarm["state"], alarm["letter"], alarm["certain"], alarm["value"], alarm["limit"]) == (
        "unacknowledged", "B", True, 7.0, 5.0
    )  # fmt: skip
    assert (await office.get("", cursor="nonsense")).status_code == 422


async def test_roles(office: Office) -> None:
    await office.tank.say("level", 7.0)
    for deed, least, more in (
        ("acknowledge", "operator", {}), ("shelve", "operator", {}), ("unshelve", "operator", {}),
        ("reset", "operator", {}), ("suppress", "engineer", {}), ("service", "engineer", {"in_service": False}),
    ):  # fmt: skip
        for role in ROLES:
            may = ROLES.index(role) >= ROLES.index(least)
            status = (await office.post(deed, HIGH.id, who=role, **more)).status_code
            assert (status != 403) == may, (deed, role, status)


async def test_in_bulk_some_may_refuse_and_each_is_in_the_audit_trail(office: Office) -> None:
    await office.tank.say("level", 7.0)
    answer = await office.post("acknowledge", HIGH.id, SLOW.id, HIGH.id)
    assert answer.status_code == 200
    told = answer.json()
    assert {alarm["id"]: alarm["state"] for alarm in told["alarms"]} == {HIGH.id: "acknowledged", SLOW.id: "normal"}
    assert told["refused"] == [{"id": SLOW.id, "detail": "it is normal: there is nothing to acknowledge"}]
    entries = [
        (e.action, e.object, e.outcome, e.who)
        for e in office.hall.audit.entries
        if e.object in told["alarms"][0].values()
    ]
    assert ("acknowledge", HIGH.id, "done", "operator") in entries
    again = await office.post("acknowledge", HIGH.id)
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    assert again.json()["refused"][0]["id"] == HIGH.id
    assert (await office.post("acknowledge", HIGH.id, "hall/nothing")).status_code == 404


async def test_shelving_needs_a_reason_and_ends(office: Office) -> None:
    assert (await office.post("shelve", HIGH.id, comment="")).status_code == 422
    shelved = (await office.post("shelve", HIGH.id, minutes=30)).json()["alarms"][0]
    assert (shelved["state"], shelved["shelved_until"]) == ("shelved", "1970-01-01T00:46:40.000000Z")
    assert await office.ids() == [HIGH.id], "what is hidden is not forgotten"
    assert (await office.post("shelve", HIGH.id, minutes=30)).status_code == 409
    assert (await office.post("shelve", SLOW.id, minutes=600)).status_code == 409
    assert (await office.post("unshelve", HIGH.id)).json()["alarms"][0]["state"] == "normal"
    out = await office.post("service", HIGH.id, who="engineer", in_service=False)
    assert out.json()["alarms"][0]["letter"] == "I"


async def test_a_story(office: Office) -> None:
    await office.tank.say("level", 7.0)
    await office.post("acknowledge", HIGH.id)
    found = (await office.get(f"/{HIGH.id}")).json()
    assert [(t["Deed"], t["From"], t["To"], t.get("ClientUserId")) for t in found["transitions"]] == [
        ("acknowledge", "unacknowledged", "acknowledged", "operator"),
        ("raise", "normal", "unacknowledged", None),
    ]
    page = (await office.get(f"/{HIGH.id}", limit=1)).json()
    rest = (await office.get(f"/{HIGH.id}", limit=1, cursor=page["next"])).json()
    assert [rest["transitions"][0]["Deed"], rest["next"]] == ["raise", None]
    assert (await office.get("/hall/nothing")).status_code == 404


async def test_an_alarm_of_a_server_is_acknowledged_at_the_server_by_those_who_may_write(office: Office) -> None:
    names = {"SourceName": "Motor 1", "ConditionName": "Trip", "ConditionId": "ns=2;i=7", "Message": "tripped"}
    states = {"Retain": True, "ActiveState": True, "AckedState": False, "Severity": 700}
    await office.tank.say("server", {"EventId": "b64"} | names | states)
    refused = await office.post("acknowledge", TRIP)
    assert refused.status_code == 409
    assert office.hall.drive.called == []
    done = await office.post("acknowledge", TRIP, HIGH.id, who="erp")
    assert [one["id"] for one in done.json()["refused"]] == [HIGH.id]
    assert office.hall.drive.called == [("server/acknowledge", {"EventId": "b64", "Comment": "because"})]
    assert (await office.get(f"/{TRIP}")).json()["alarm"]["state"] == "unacknowledged", "until the server says so"
    stale = await office.post("acknowledge", TRIP, who="erp", event_id="b63")
    assert "look at it again" in stale.json()["detail"]
    office.hall.drive.says = Called(0x8102_0000, "BadConditionBranchAlreadyAcked")
    assert "BadConditionBranchAlreadyAcked" in (await office.post("acknowledge", TRIP, who="erp")).json()["detail"]


async def test_the_metrics_of_a_range(office: Office) -> None:
    await office.tank.say("level", 7.0)
    ms = office.tank.clock.ns // 1_000_000
    found = (await office.get("/performance", start=str(ms), end=str(ms + 60_000))).json()
    assert (found["alarms"], found["top"][0]["id"]) == (1, HIGH.id)
    assert found["metrics"]["per_10_min"] == {"value": 10.0, "target": 1}
    before = (await office.get("/performance", start=str(ms - 60_000), end=str(ms))).json()
    assert before["alarms"] == 0, "ranges are half-open"
    assert (await office.get("/performance", start="now", end="now")).status_code == 422


async def test_without_alarms_there_are_none(tmp_path: Path) -> None:
    async with served(Hall(Still()), tmp_path, TOKENS) as http:
        assert (await http.get("/api/v1/alarms", headers=bearer("viewer"))).status_code == 404
    assert len(RULES) == 3
