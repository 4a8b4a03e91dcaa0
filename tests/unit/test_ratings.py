"""The register of advice: what signals advised, from when to when, and what people say of it."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.access import Client
from api.app import create
from gateway import ratings
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.batch import objects
from gateway.model.tag import EVENT
from gateway.ratings import Advice, Rating, Ratings, RatingsFile, Wanted, read
from gateway.signals import advice
from tests.drive import SITE, Hall, Still, shown
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS

S = 10**9
PUMP, FAN = f"{SITE}/utilities/pump1", f"{SITE}/line1/fan"
TOKENS = {"anna": Client("anna-0123456789abcdef", "operator"), "gast": Client("gast-0123456789abcdef", "viewer")}
FAULTS = {"cavitation": advice.Fault(symptoms={"flow": "low"}, look="the suction side")}
MEMBER = ("_alarm/x", "_maintenance/x", "_maintenance/x_cause", "_maintenance/x_evidence")


class Machine:
    """A machine whose signal x raises an alarm now and then, and the advice that follows, as records of a journal."""

    def __init__(self, catalog: Catalog, asset: str) -> None:
        self._numbers = [catalog.add(Tag(asset, name)) for name in MEMBER]
        options = advice.Options(asset=asset, signals=["x"], faults=FAULTS, gather=5, off=20)
        outputs = {role: catalog.add(tag) for role, tag in advice.outputs("tips", options, asset).items()}
        self._signal = advice.signal(options, outputs, catalog)

    def alarm(self, second: int, until: int, tag: str) -> list[Record]:
        """Return what is advised while x is in alarm in [second, until) because a tag is low, and thereafter."""
        told = [self._says(second, True, tag), *(self._says(at, True, tag) for at in range(second + 1, until))]
        told += [self._says(at, False, tag) for at in range(until, until + 30)]
        return [Record(1, 0, 1, 1, EPOCH_NS, (batch,)) for batch in told if len(batch)]

    def _says(self, second: int, alarm: bool, tag: str) -> Batch:
        evidence = {tag: {"looks": "low", "ratio": 2.0, "is": 1.0, "expected": 2.0}} if alarm else {}
        values: Sequence[Any] = (evidence, dict.fromkeys(evidence, 1.0), 2.0 if alarm else 0.2, alarm)
        found: list[Batch] = []
        for number, value in zip(reversed(self._numbers), values, strict=True):
            column = objects([value]) if isinstance(value, dict) else [float(value)]
            found += self._signal.update(Batch.of([number], EPOCH_NS + second * S, column))
        return Batch.join(found) if found else Batch.of([], [], [])


class Shift:
    """People in front of the API, with an advice of a pump that is over and one of a fan that stands."""

    def __init__(self, http: httpx.AsyncClient, hall: Hall) -> None:
        self.http = http
        self.hall = hall

    async def get(self, query: str = "", who: str = "gast") -> Any:
        bearer = {"Authorization": f"Bearer {TOKENS[who].token}"}
        answer = await self.http.get(f"/api/v1/maintenance/advice?from=-30d&to=now{query}", headers=bearer)
        return answer.json() if answer.status_code == 200 else answer.status_code

    async def rate(self, id: str, said: Mapping[str, Any], who: str = "anna") -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS[who].token}", "Content-Type": "application/json"}
        url = f"/api/v1/maintenance/advice/{id}/rating"
        return await self.http.post(url, content=json.dumps(said), headers=headers)


@pytest.fixture(name="shift")
async def a_shift(tmp_path: Path) -> AsyncIterator[Shift]:
    hall = Hall(Still())
    pump, fan = Machine(hall.catalog, PUMP), Machine(hall.catalog, FAN)
    with shown(hall, tmp_path, Still()) as (view, _):
        await view.ratings.write(pump.alarm(-900, -800, "flow"))
        await view.ratings.write(fan.alarm(-100, -90, "torque")[:1])
        transport = httpx.ASGITransport(create(view, TOKENS), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield Shift(http, hall)


def given(id: str, raised: int, cleared: int | None = None, cause: str = "") -> Advice:
    return Advice(id, PUMP, f"{PUMP}/_maintenance/tips", cause or id, raised, cleared, {"Message": id})


async def test_what_was_advised_is_listed_newest_first_with_its_reasons(shift: Shift) -> None:
    fan, pump = (await shift.get())["advices"]
    assert (fan["asset"], fan["state"], fan["cleared"], fan["cause"]) == (FAN, "open", None, "drift:torque")
    assert (pump["asset"], pump["state"], pump["cause"], pump["shares"]) == (PUMP, "cleared", "cavitation", {"flow": 1})
    assert (pump["since"], pump["raised"], pump["cleared"]) == (
        "2026-01-05T05:45:00Z", "2026-01-05T05:45:05.000000Z", "2026-01-05T05:46:59.000000Z",
    ), "there since -900, raised 5 s later, gone for 20 s after the last alarm at -801"  # fmt: skip
    assert pump["message"].startswith("Cavitation at pump1, 95% sure")
    assert pump["evidence"]["flow"]["looks"] == "low"
    assert (pump["acknowledged"], pump["rating"]) == (None, None)


async def test_what_is_wanted_is_what_is_listed(shift: Shift) -> None:
    wanted = {
        "&state=open": [FAN],
        "&state=cleared": [PUMP],
        "&asset=utilities": [PUMP],
        f"&asset={FAN}": [FAN],
        "&asset=line1/fa": [],
        "&state=unrated": [FAN, PUMP],
        "&state=rated": [],
    }
    assert {query: [one["asset"] for one in (await shift.get(query))["advices"]] for query in wanted} == wanted


async def test_the_range_is_half_open_and_pages_follow_each_other(shift: Shift) -> None:
    first = await shift.get("&limit=1")
    second = await shift.get(f"&limit=1&cursor={first['next']}")
    assert [page["advices"][0]["asset"] for page in (first, second)] == [FAN, PUMP]
    assert second["next"] is None
    raised = second["advices"][0]["raised"]
    bearer = {"Authorization": f"Bearer {TOKENS['gast'].token}"}
    for params, n in (({"from": raised}, 2), ({"from": "-1h", "to": raised}, 0)):
        answer = await shift.http.get("/api/v1/maintenance/advice", params=params, headers=bearer)
        assert len(answer.json()["advices"]) == n
    assert await shift.get("&cursor=yesterday") == 422


async def test_who_has_seen_it_and_whether_it_was_right_are_kept_and_audited(shift: Shift) -> None:
    id = (await shift.get("&state=cleared"))["advices"][0]["id"]
    seen = (await shift.rate(id, {"verdict": "seen"})).json()
    assert (seen["acknowledged_by"], seen["rating"]) == ("anna", None)
    said = {"verdict": "wrong", "true_cause": "clogged_strainer", "note": "full of labels"}
    rated = (await shift.rate(id, said)).json()
    assert rated["rating"] == {**said, "by": "anna", "time": "2026-01-05T06:00:00.000000Z"}
    assert (await shift.rate(id, {"verdict": "seen"})).json() == rated, "that takes nothing back"
    assert (await shift.get("&state=rated"))["advices"] == [rated]
    told = [(entry.action, entry.object, entry.who, entry.value) for entry in shift.hall.audit.entries]
    assert told[1] == ("rate", id, "anna", said)


async def test_what_cannot_be_said(shift: Shift) -> None:
    known = (await shift.get())["advices"][0]["id"]
    for id, said, who, status in (
        (known, {"verdict": "right"}, "gast", 403),
        ("pump1-gone-1", {"verdict": "right"}, "anna", 404),
        (known, {"verdict": "perhaps"}, "anna", 422),
        (known, {"verdict": "right", "note": "x" * 2001}, "anna", 422),
        (known, {"verdict": "right", "sure": True}, "anna", 422),
        (known, {"verdict": "right", "note": "\ud800"}, "anna", 422),
    ):
        answer = await shift.rate(id, said, who)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), said
    assert (await shift.get("&state=rated"))["advices"] == []


def test_what_comes_twice_or_the_wrong_way_round_is_known(tmp_path: Path) -> None:
    file = RatingsFile(tmp_path / "ratings.db")
    file.take([given("a", 5), given("a", 5, 9)])
    file.say("a", Rating("right", "", "", 11, "anna"))
    before = file.one("a")
    for again in (given("a", 5), given("a", 5, 9)):
        file.take([again])
        assert file.one("a") == before
    file.say("a", Rating("right", "", "", 12, "bert"))
    assert file.one("a") == before, "the same again changes nothing"
    file.say("a", Rating("wrong", "", "", 13, "bert"))
    after = file.one("a")
    assert (after.rating, after.acknowledged_by) == (Rating("wrong", "", "", 13, "bert"), "anna")
    file.close()


def test_what_a_signal_raises_again_after_it_began_anew_ends_what_stood_before(tmp_path: Path) -> None:
    file = RatingsFile(tmp_path / "ratings.db")
    first, again = given("a", 5, cause="drift:flow"), given("b", 9, cause="drift:flow")
    file.take([first, given("c", 7), again])
    file.take([first])
    assert [(one.id, one.cleared_ns) for one in file.found(Wanted(0, 99))] == [("b", None), ("c", None), ("a", 9)]
    file.close()


async def test_what_a_device_tells_is_no_advice_of_ours_whatever_is_in_it(tmp_path: Path) -> None:
    catalog = Catalog([Tag(PUMP, "alarms", device="pump", datatype=EVENT)])
    file = RatingsFile(tmp_path / "ratings.db")
    batch = Batch.of([0], EPOCH_NS, objects([{"AdviceId": {"no": "text"}}]))
    await Ratings(file, inline, catalog, Still()).write([Record(1, 0, 1, 1, EPOCH_NS, (batch,))])
    assert file.found(Wanted(0, 2**63 - 1)) == []
    file.close()


async def test_what_is_cleared_and_was_not_heard_of_is_there_since_it_began(tmp_path: Path) -> None:
    catalog = Catalog()
    pump = Machine(catalog, PUMP)
    file = RatingsFile(tmp_path / "ratings.db")
    await Ratings(file, inline, catalog, Still()).write(pump.alarm(100, 200, "flow")[1:])
    (found,) = file.found(Wanted(0, 2**63 - 1))
    assert (found.raised_ns, found.cleared_ns) == (EPOCH_NS + 100 * S, EPOCH_NS + 219 * S)
    file.close()


def test_a_backtest_reads_them_while_the_gateway_runs_and_when_it_does_not(tmp_path: Path) -> None:
    path = tmp_path / "ratings.db"
    with pytest.raises(OSError, match=r"ratings\.db"):
        read(path, 0, 10)
    file = RatingsFile(path)
    file.take([given("a", 1, 3), given("b", 2), given("c", 10)])
    file.say("b", Rating("wrong", "drift", "", 4, "anna"))
    for _ in range(2):
        found = read(path, 1, 10)
        assert [(one.id, one.cleared_ns, one.rating and one.rating.true_cause) for one in found] == [
            ("b", None, "drift"), ("a", 3, None),
        ]  # fmt: skip
        file.close()


def test_the_oldest_are_forgotten_those_first_that_nobody_rated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratings, "ADVICES_MAX", 3)
    file = RatingsFile(tmp_path / "ratings.db")
    assert file.take([given("a", 1), given("b", 2), given("c", 3)]) == 0
    file.say("a", Rating("right", "", "", 9, "anna"))
    assert file.take([given("d", 4), given("e", 5)]) == 2
    assert [one.id for one in file.found(Wanted(0, 10))] == ["e", "d", "a"]
    file.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ratings.db"
    path.write_bytes(b"no database" * 1000)
    file = RatingsFile(path)
    assert file.found(Wanted(0, 10)) == []
    assert "set aside as ratings.db.damaged-1" in caplog.text
    file.close()
