"""How machines are, over HTTP: health, life, advice, and the evidence as data and as a picture."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest

from api.app import create
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.model import Batch, Catalog, Quality, Tag
from gateway.model.batch import objects
from gateway.model.tag import shadow_of
from gateway.recall import Built
from gateway.signals import health, vibration
from gateway.signals._data_manipulation.bearing import Bearing
from tests.drive import SITE, Hall, Still, shown
from tests.simulation.loop import EPOCH_NS

S = 10**9
PUMP, FAN = f"{SITE}/utilities/pump1", f"{SITE}/line1/fan"
MEMBER = ("_alarm/x", "_maintenance/x", "_maintenance/x_cause", "_maintenance/x_evidence")
BEGAN_S = -300
FLOW = np.where(np.arange(-600, 0) < BEGAN_S, 40.0, 30.0)
FACTS = {"flow": {"looks": "low", "is": 30.0, "expected": 40.0, "allowed": 2.0, "ratio": 3.0}}
RATE_HZ, N, SHAFT_HZ = 16_000.0, 4096, 49.0
BEARING = Bearing(elements=9, diameter=11.906, pitch=60)
BPFO_HZ = BEARING.per_turn["bpfo"] * SHAFT_HZ


def wired(catalog: Catalog) -> dict[str, Built]:
    """A pump with a signal x, its health, its life and a bearing that is looked at; a fan of which nothing was told.

    A second signal of the bearing is on trial.
    """
    for name in ("flow", *MEMBER, "waveform"):
        catalog.add(Tag(PUMP, name, unit={"flow": "m3/h", "waveform": "m/s2"}.get(name, "")))
    catalog.add(Tag(FAN, "_alarm/x"))
    for asset in (PUMP, FAN):
        for tag in health.outputs("well", health.Options(asset=asset, signals=["x"]), asset).values():
            catalog.add(tag)
    for role in ("rul", "low", "high", "basis"):
        catalog.add(Tag(PUMP, f"_maintenance/wear_{role}"))
    options = vibration.Options(input=f"{PUMP}/waveform", sample_rate=RATE_HZ, bearing=BEARING, speed=60 * SHAFT_HZ)
    outputs = {role: catalog.add(tag) for role, tag in vibration.outputs("end", options, PUMP).items()}
    signal = vibration.signal(options, outputs, catalog)
    trial = catalog.add(Tag(PUMP, shadow_of("_maintenance/end2_rms")))
    return {
        "end": Built(signal, "", np.array(list(outputs.values()), np.uint32)),
        "end2": Built(signal, "", np.array([trial], np.uint32)),
    }


def told(catalog: Catalog, derived: dict[str, Built]) -> Sequence[Batch]:
    """What x says of the pump, and what follows; blows on the outer race of its bearing."""
    number = {name: catalog.number(f"{PUMP}/{name}") for name in (*MEMBER, "flow", "waveform")}
    alarm, ratio, cause, evidence = (number[name] for name in MEMBER)
    began = EPOCH_NS + BEGAN_S * S
    said = [
        Batch.of([cause], began, objects([{"flow": 1.0}])),
        Batch.of([evidence], began, objects([FACTS])),
        Batch.of([alarm], began, [1.0]),
        Batch.of([ratio], began, [3.0]),
    ]
    options = health.Options(asset=PUMP, signals=["x"])
    outputs = {role: catalog.number(tag.path) for role, tag in health.outputs("well", options, PUMP).items()}
    well = health.signal(options, outputs, catalog)
    at = np.arange(N) / RATE_HZ
    blows = np.random.default_rng(1).normal(0, 0.1, N)
    for blow in np.arange(0.0, at[-1], 1 / BPFO_HZ):
        since = np.clip(at - blow, 0, None)
        blows += 5 * (at >= blow) * np.exp(-since * 1500) * np.sin(2 * np.pi * 4000 * since)
    waveform = Batch.of([number["waveform"]], EPOCH_NS - 2 * S, objects([blows]))
    life = [catalog.number(f"{PUMP}/_maintenance/wear_{role}") for role in ("rul", "low", "high", "basis")]
    return [
        *said,
        *(batch for one in said for batch in well.update(one)),
        waveform,
        *derived["end"].signal.update(waveform),
        Batch.of(life[:3], EPOCH_NS - 60 * S, [12.0, 8.0, 20.0]),
        Batch.of(life[3:], EPOCH_NS - 60 * S, objects(["trend"])),
        Batch.of([number["flow"]] * len(FLOW), EPOCH_NS + np.arange(-600, 0) * S, FLOW),
    ]


@asynccontextmanager
async def asked(folder: Path, *, remembers: bool = True, live: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a gateway that heard all of that, keeps it in history or not, and was started anew since or not."""
    hall = Hall(Still(), ())
    hall.derived.signals = derived = wired(hall.catalog)
    history = History(engine(f"sqlite:///{folder / 'history.db'}")) if remembers else None
    batches = told(hall.catalog, derived)
    if history is not None:
        series = history.series([hall.catalog[number] for number in hall.catalog])
        kept = [Batch(series[one.tag], one.time, one.value, one.quality) for one in batches]
        history.append(kept, Progress("gw1", "j", 1), 0)
    with shown(hall, folder, Still(), history) as (view, hub):
        if live:
            hub(*batches)
        transport = httpx.ASGITransport(create(view, {}), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/api/v1/") as http:
            yield http
    if history is not None:
        history.close()


@pytest.mark.parametrize("live", [True, False], ids=["as told", "after a restart"])
async def test_all_machines_are_listed_with_health_reasons_and_life(tmp_path: Path, live: bool) -> None:
    async with asked(tmp_path, live=live) as http:
        fan, pump = (await http.get("maintenance")).json()
    assert (fan["asset"], fan["state"], fan["health"], fan["life"], fan["advices"]) == (FAN, "unknown", None, None, [])
    assert pump == {
        "asset": PUMP,
        "health": 10.0,
        "state": "alarm",
        "status": "OFF_SPEC",
        "since": "2026-01-05T05:55:00Z",
        "confidence": 1.0,
        "shares": {"flow": 1.0},
        "signals": ["x"],
        "time": "2026-01-05T05:55:00.000000Z",
        "life": {"basis": "trend", "hours": 12.0, "low": 8.0, "high": 20.0, "until": "2026-01-05T17:59:00.000000Z"},
        "advices": [],
    }


async def test_the_evidence_is_what_signals_say_the_readings_and_the_spectrum(tmp_path: Path) -> None:
    async with asked(tmp_path) as http:
        found = (await http.get("maintenance/utilities/pump1")).json()
        other = (await http.get("maintenance/utilities/pump1?from=-5min&to=-1min")).json()
    assert found["contributions"] == [
        {"signal": "x", "alarm": True, "ratio": 3.0, "shares": {"flow": 1.0}, "evidence": FACTS}
    ]
    window = found["window"]
    assert (window["from"], window["to"]) == ("2026-01-05T05:50:00.000000Z", "2026-01-05T06:00:00.000000Z")
    well, flow = window["series"]
    assert (well["tag"], well["value"]) == (f"{PUMP}/_maintenance/well", [10.0])
    assert (flow["tag"], flow["unit"], flow["share"], flow["expected"], flow["allowed"]) == (
        f"{PUMP}/flow", "m3/h", 1.0, 40.0, 2.0,
    )  # fmt: skip
    assert len(flow["value"]) <= 402
    assert (flow["value"][0], flow["value"][-1], set(flow["value"])) == (40.0, 30.0, {40.0, 30.0})
    assert (other["window"]["from"], set(other["window"]["series"][1]["value"])) == (
        "2026-01-05T05:55:00.000000Z", {30.0},
    )  # fmt: skip
    (spectrum,) = found["spectra"]
    assert (spectrum["signal"], spectrum["tag"], spectrum["shaft"]) == ("end", f"{PUMP}/waveform", SHAFT_HZ)
    line = spectrum["lines"]["bpfo"]
    assert abs(line["hertz"] - BPFO_HZ) < 4
    assert line["harmonics"] >= 3
    strongest = int(np.argmax(spectrum["amplitude"][4:])) + 4
    assert abs(strongest * spectrum["step"] - line["hertz"]) <= spectrum["step"], "the largest line is the outer race"


async def test_the_picture_has_all_of_it(tmp_path: Path) -> None:
    async with asked(tmp_path) as http:
        answer = await http.get("maintenance/utilities/pump1/evidence.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    texts = [one.text or "" for one in ElementTree.fromstring(answer.content).iter("{http://www.w3.org/2000/svg}text")]
    assert f"{PUMP}: alarm, health 10 of 100" in texts
    for begin in ("flow [m3/h], 100% of the cause", "expected 40", "well [%]", "end: spectrum", "bpfo 17"):
        assert any(text.startswith(begin) for text in texts), (begin, texts)


async def test_without_history_there_is_all_but_the_readings(tmp_path: Path) -> None:
    async with asked(tmp_path, remembers=False) as http:
        found = (await http.get(f"maintenance/{PUMP}")).json()
        drawn = await http.get(f"maintenance/{PUMP}/evidence.svg")
    assert [series["value"] for series in found["window"]["series"]] == [[], []]
    assert (found["state"], len(found["spectra"])) == ("alarm", 1)
    assert b"no readings in history" in drawn.content


async def test_while_history_is_away_machines_are_as_told_and_the_evidence_says_why_it_is_not(tmp_path: Path) -> None:
    hall = Hall(Still(), ())
    hall.derived.signals = derived = wired(hall.catalog)
    away = History(engine(f"sqlite:///{tmp_path / 'no such folder' / 'history.db'}"))
    with shown(hall, tmp_path, Still(), away) as (view, hub):
        hub(*told(hall.catalog, derived))
        transport = httpx.ASGITransport(create(view, {}), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/api/v1/") as http:
            found = (await http.get("maintenance")).json()
            detail = await http.get("maintenance/utilities/pump1")
    away.close()
    assert [(one["asset"], one["state"]) for one in found] == [(FAN, "unknown"), (PUMP, "alarm")]
    assert (detail.status_code, detail.headers["content-type"]) == (503, "application/problem+json")
    assert "history cannot be read" in detail.json()["detail"]


async def test_what_is_not_there_is_404_and_a_window_that_is_none_422(tmp_path: Path) -> None:
    async with asked(tmp_path) as http:
        for path in ("maintenance/utilities", "maintenance/nowhere/evidence.svg"):
            assert (await http.get(path)).status_code == 404
        for window in ("?from=now&to=-1h", "?from=yesterday", "?to=yesterday"):
            assert (await http.get(f"maintenance/utilities/pump1{window}")).status_code == 422


async def test_a_life_of_which_nothing_can_be_said_has_no_hours(tmp_path: Path) -> None:
    hall = Hall(Still(), ())
    wired(hall.catalog)
    life = [hall.catalog.number(f"{PUMP}/_maintenance/wear_{role}") for role in ("rul", "low", "high", "basis")]
    with shown(hall, tmp_path, Still()) as (view, hub):
        hub(Batch.of(life[:3], EPOCH_NS, [np.nan] * 3, Quality.BAD_NO_DATA_AVAILABLE))
        hub(Batch.of(life[3:], EPOCH_NS, objects(["none"])))
        transport = httpx.ASGITransport(create(view, {}), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/api/v1/") as http:
            found: dict[str, Any] = (await http.get("maintenance/utilities/pump1")).json()
    assert found["life"] == {"basis": "none", "hours": None, "low": None, "high": None, "until": None}
