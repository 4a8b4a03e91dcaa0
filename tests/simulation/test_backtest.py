"""The demonstration's plant, lived through by a gateway: what its history says in a backtest is what was said live."""

import asyncio
import io
import json
import re
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from gateway.backtest.replay import replayed
from gateway.backtest.trial import planned
from gateway.cli import main
from gateway.cli._process import read_config
from gateway.derive import Derived, Deriving
from gateway.drain import drain
from gateway.historian.history import History
from gateway.historian.schema import engine, reading
from gateway.historian.sink import Historian
from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.journal.limits import Limits
from gateway.latest import Latest
from gateway.plugins import shipped
from gateway.ratings import Advice, Rating, RatingsFile
from tests.inline import inline
from tests.simulation.demo_plant import Floor
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

TICKS = 430
"""Seconds of the gateway: 2.4 hours of the plant, with a worn bearing and a drifting sensor."""
CALM = Limits(sync_s=1e6, trim_s=1e6)
PERIOD = ["--from", "2026-01-05T06:02:00Z", "--to", "2026-01-05T06:07:10Z"]
FAULTS = """\
asset,from,to,cause
utilities/pump1,2026-01-05T06:01:00Z,2026-01-05T06:09:06Z,bearing_wear
packaging/line1/capper,2026-01-05T06:04:45Z,2026-01-05T06:07:00Z,torque
utilities/chiller1,2026-01-05T06:03:00Z,,
"""
"""As config/plants/bottling.yaml has them, twenty times as fast; nothing is wrong with the chiller."""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a gateway that has lived through it."""
    folder = tmp_path_factory.mktemp("demo")
    floor = Floor(1, faults=True)
    (folder / "data").mkdir()
    simulate(live(floor, folder / "data"))
    known = {(e.kind, e.what): EPOCH_NS + round(e.at_s / 20 * 1e9) for e in floor.told.events}
    assert known["bearing_wear", "on"] == EPOCH_NS + 60 * 10**9
    assert known["drift", "on"] == EPOCH_NS + 285 * 10**9
    (folder / "faults.csv").write_text(FAULTS)
    return configured(folder, "plant.yaml", shipped("demo.yaml").read_text(encoding="utf-8"))


def configured(folder: Path, name: str, text: str) -> Path:
    config = folder / name
    data_dir = "" if "data_dir" in text else f"\ndata_dir: {folder / 'data'}\n"
    config.write_text(f"{text}{data_dir}", encoding="utf-8")
    return config


async def live(floor: Floor, folder: Path) -> None:
    """Let a plant go by as a gateway sees it: into the journal, through the signals, into history."""
    file = JournalFile(folder / "journal.db")
    file.save(floor.catalog)
    journal = Journal(file, inline, LoopClock(), CALM)
    hub = Hub(floor.catalog, Latest(len(floor.catalog)), journal)
    deriving = Deriving(Derived(floor.signals, len(floor.catalog)), journal, hub, inline)
    history = History(engine(f"sqlite:///{folder / 'history.db'}"))
    sink = Historian(history, inline, floor.catalog, LoopClock(), gateway="demo", journal=journal.id, retention_s=1e9)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        tasks.create_task(drain(journal.cursor("historian"), sink, lambda: None, 10.0))
        running = tasks.create_task(deriving.run(lambda: None))
        await asyncio.sleep(1.0)
        for _ in range(TICKS):
            for batch in floor.tick():
                hub(batch)
            await asyncio.sleep(1.0)
        running.cancel()
        journal.close()
    await journal.finish()
    history.compact(0)
    history.close()
    file.close()


def backtest(config: Path, *options: str, truth: bool = True) -> str:
    """What `gateway backtest` prints of the period."""
    known = ["--truth", str(config.parent / "faults.csv")] if truth else []
    with redirect_stdout(io.StringIO()) as said:
        assert main(["backtest", str(config), *PERIOD, *known, *options]) == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def found(lived: Path) -> dict[str, Any]:
    """What it says of the configuration that ran; and a page is written."""
    told: dict[str, Any] = json.loads(backtest(lived, "--json", "--html", str(lived.parent / "report.html")))
    return told


def test_what_signals_said_live_a_backtest_says_again_bit_for_bit(lived: Path) -> None:
    """Of each tag that signals derive; of what is said twice of one time, history has the last."""
    plan = planned(*read_config(lived))
    history = History(reading(f"sqlite:///{lived.parent / 'data' / 'history.db'}"))
    again: dict[str, dict[int, str]] = defaultdict(dict)
    for batches in replayed(plan.signals, plan.catalog, history, EPOCH_NS, EPOCH_NS + 10**12):
        for batch in batches:
            for number, time, value in zip(batch.tag.tolist(), batch.time.tolist(), batch.value.tolist(), strict=True):
                again[plan.catalog[number].path][time] = repr(value)
    live = {
        path: dict(zip(part.time.tolist(), map(repr, part.value.tolist()), strict=True))
        for path in again
        for part in history.readings(path, EPOCH_NS, 2**62)
    }
    history.close()
    assert {path.rpartition("/")[2] for path in again} >= {
        "pump_advice",
        "capper_advice",
        "pump_health",
        "bearing_drift",
    }
    assert again == live


def test_the_faults_of_the_plant_are_found_in_time_with_the_right_cause(lived: Path, found: dict[str, Any]) -> None:
    bearing, chiller, capper = ((fault["asset"], fault["found"][0]) for fault in found["faults"])
    for (asset, fate), advice in ((bearing, "pump_advice"), (capper, "capper_advice")):
        assert fate["by"] == advice, asset
        assert fate["right_cause"]
        assert fate["delay_s"] > 0
        assert fate["lead_s"] > 60
    assert chiller == ("utilities/chiller1", {"by": None})
    (signals,) = (trial["signals"] for trial in found["configurations"])
    assert sum(one["false"] for one in signals) == 0


def test_the_page_has_all_findings_as_pictures_and_nothing_from_elsewhere(lived: Path, found: dict[str, Any]) -> None:
    (signals,) = (trial["signals"] for trial in found["configurations"])
    page = (lived.parent / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert not re.search(r"(src|href)=|url\(", page), "all of it is in the page"
    assert page.count("<svg") == 1 + sum(len(one["findings"]) for one in signals)
    assert "torque, 100% of the cause" in page


def test_what_people_said_of_advice_is_the_truth_if_no_other_is_given(lived: Path) -> None:
    file = RatingsFile(lived.parent / "data" / "ratings.db")
    for asset, cause, verdict in (("pump1", "bearing_wear", "right"), ("capper", "drift:torque", "wrong")):
        path = f"acme/dresden/{'utilities' if asset == 'pump1' else 'packaging/line1'}/{asset}"
        file.take([Advice(asset, path, f"{path}/advice", cause, EPOCH_NS + 300 * 10**9, None, {})])
        file.say(asset, Rating(verdict, "", "", 0, "eva"))
    file.close()
    told = json.loads(backtest(lived, "--json", truth=False))
    (fault,) = told["faults"]
    assert (fault["cause"], fault["found"][0]["by"], fault["found"][0]["right_cause"]) == (
        "bearing_wear",
        "pump_advice",
        True,
    )
    false = {one["signal"]: one["false"] for one in told["configurations"][0]["signals"]}
    assert (false["capper_advice"], false["pump_advice"], false["filler_advice"]) == (1, None, None)


def test_another_configuration_is_judged_beside_it_and_one_on_trial_alike(lived: Path, found: dict[str, Any]) -> None:
    text = lived.read_text(encoding="utf-8")
    deaf = configured(lived.parent, "deaf.yaml", text.replace("tags: [torque, top_load", "tags: [top_load"))
    quiet = text.replace("capper_expected:\n", "capper_expected:\n    shadow: true\n")
    quiet = re.sub(r"(capper_(health|advice): \{)", r"\1shadow: true, ", quiet)
    shadow = configured(lived.parent, "shadow.yaml", quiet)
    ways = [*found["configurations"], *json.loads(backtest(shadow, "--json", "--config", str(deaf)))["configurations"]]
    today, trial, other = (next(one for one in way["signals"] if one["signal"] == "capper_advice") for way in ways)
    assert [len(today["found"]), len(other["found"]), len(other["missed"])] == [1, 0, 1]
    assert (today["shadow"], trial["shadow"]) == (False, True)
    assert trial | {"shadow": False} == today


def test_figures_are_told_for_people(lived: Path) -> None:
    said = backtest(lived, "--warm-up", "20s")
    assert "backtest of 2026-01-05T06:02:00Z to 2026-01-05T06:07:10Z; signals see 20 s more before it" in said
    assert "pump_expected was learning until" in said, "20 s are not enough"
    assert re.search(r"^capper_advice +packaging/line1/capper +advice +\d", said, re.MULTILINE)
    assert "utilities/chiller1 fault since 2026-01-05T06:03:00Z, still there: missed" in said
