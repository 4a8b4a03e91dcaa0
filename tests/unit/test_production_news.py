"""What happens to orders and stops is told once, whenever the gateway dies on the way from its file to the journal."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.tag import EVENT
from gateway.production.desk import Desk
from gateway.production.file import ProductionFile
from gateway.production.jobs import ALLOWED, Refused
from gateway.production.keeper import Keeper, Settings
from gateway.production.states import STATES
from gateway.production.teller import Teller
from gateway.production.unit import Unit
from tests.inline import inline

ASSET = "acme/dresden/filler"
SECOND_NS = 10**9
EXECUTE, HELD, ABORTED = 6, 11, 9
UNIT = Unit("filler", ASSET, {"state": f"{ASSET}/state"}, STATES["packml"], tell_ns=60 * SECOND_NS)


class Plant:
    """A gateway that may die: its journal has what was committed, and production reads it when it comes to that."""

    def __init__(self, folder: str) -> None:
        self.ns = 1_000 * SECOND_NS
        self.journal: list[Record] = []
        self._folder = Path(folder)
        self._boot = 0
        self.start()

    def now_ns(self) -> int:
        return self.ns

    def start(self, units: Sequence[Unit] = (UNIT,)) -> None:
        """Live, again: what was emitted and not committed is lost, what was committed is read at once."""
        self._boot += 1
        self.emitted: list[Batch] = []
        names = ("state", "_production/filler/orders", "_production/filler/stops")
        catalog = Catalog(Tag(ASSET, name, datatype=EVENT if name != "state" else "") for name in names)
        self._file = ProductionFile(self._folder / "production.db")
        self._keeper = Keeper(self._file, inline, catalog, self, units, Settings("j", 10**18))
        self.desk = Desk(self._keeper, self._file, inline, self)
        self.teller = Teller(self.desk, catalog, lambda *batches: self.emitted.extend(batches))
        self.read()

    def die(self) -> None:
        self._file.close()

    def tell(self) -> None:
        self.teller._tell(self.desk.news())

    def commit(self) -> None:
        """Have what was emitted in the journal."""
        for batch in self.emitted:
            n = len(self.journal) + 1
            self.journal.append(Record(n, 0, self._boot, n, self.ns, (batch,)))
        self.emitted.clear()

    def read(self) -> None:
        """Have production read the journal."""
        asyncio.run(self._keeper.write(self.journal))

    def machine(self, state: int, seconds: int = 0) -> None:
        """Let time pass, and the machine say then how it is."""
        self.ns += seconds * SECOND_NS
        self.emitted.append(Batch.of([0], self.ns, np.array([state])))
        self.go_on()

    def go_on(self) -> None:
        self.commit()
        self.read()
        self.tell()

    def events(self) -> list[dict[str, Any]]:
        """What the journal has of events, in order."""
        self.go_on()
        self.commit()
        return [e for record in self.journal for batch in record.batches if batch.tag[0] for e in batch.value]


def order(id: str, state: str = ALLOWED) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "planned_begin": None,
        "planned_end": None,
        "priority": 0,
        "quantity": 10.0,
        "document": {},
    }
    return {"id": id, "unit": "filler", "state": state, "material": [], "lots": [], **plain}


@pytest.fixture(name="plant")
def a_plant(tmp_path: Path) -> Plant:
    return Plant(str(tmp_path))


def test_an_order_is_told_from_its_begin_to_its_end(plant: Plant) -> None:
    plant.desk.take(order("JO-77"), "erp")
    plant.ns += SECOND_NS
    plant.desk.consume("JO-77", [{"MaterialLotID": ["C-5"]}], "erp")
    plant.desk.command("JO-77", "Stop", "ann")
    told = plant.events()
    assert [(one["JobOrderID"], one["Command"], one["JobState"], one["ClientUserId"]) for one in told] == [
        ("JO-77", "Store", "Ready", "erp"),
        ("JO-77", "Run", "Running", "gateway"),
        ("JO-77", "Stop", "Completed", "ann"),
    ]
    assert {one["EventType"] for one in told} == {"OrderEvent"}
    assert told[-1]["Message"] == "order JO-77 on filler: Stop by ann, Completed"
    assert (told[-1]["StartTime"], told[-1]["EndTime"]) == (
        "1970-01-01T00:16:40.000000Z",
        "1970-01-01T00:16:41.000000Z",
    )
    times = [int(batch.time[0]) for record in plant.journal for batch in record.batches]
    assert len(set(times)) == len(times), "history has one reading of a tag at a time"


def test_a_stop_is_told_when_it_has_lasted_and_when_it_is_over(plant: Plant) -> None:
    plant.machine(EXECUTE, 1)
    for state, seconds in ((HELD, 10), (EXECUTE, 50), (ABORTED, 20), (ABORTED, 50)):
        plant.machine(state, seconds)
    assert plant.events() == [], "50 s are not worth an event, and the next stop has lasted for 47 s as far as is known"
    plant.machine(ABORTED, 20)
    plant.desk.explain("filler", 1_081 * SECOND_NS, "JAM", "reel ran out", "ann")
    plant.machine(EXECUTE, 100)
    plant.machine(EXECUTE, 100)
    told = plant.events()
    assert [(one["DowntimeState"], one["Kind"], one["Reason"], one["Seconds"]) for one in told] == [
        ("Begun", "failure", "", None),
        ("Explained", "failure", "JAM", None),
        ("Ended", "failure", "JAM", 170),
    ]
    assert [one["Time"][14:19] for one in told] == ["18:01", "19:11", "20:51"]
    assert {(one["Begin"], one["EventType"], one["SourceName"], one["Breakdown"]) for one in told} == {
        ("1970-01-01T00:18:01.000000Z", "DowntimeEvent", "filler", True)
    }
    assert told[-1]["Message"] == "filler stands no more (failure: JAM)"


def test_a_gateway_that_did_not_run_does_not_say_that_the_machine_did(plant: Plant) -> None:
    plant.machine(ABORTED, 1)
    plant.machine(ABORTED, 100)
    assert [one["DowntimeState"] for one in plant.events()] == ["Begun"]
    plant.die()
    plant.ns += 500 * SECOND_NS
    plant.start()
    plant.machine(ABORTED, 1)
    plant.machine(ABORTED, 100)
    assert [one["DowntimeState"] for one in plant.events()] == ["Begun"], "it stands as it stood"
    plant.machine(EXECUTE, 10)
    plant.machine(EXECUTE, 100)
    assert [one["DowntimeState"] for one in plant.events()] == ["Begun", "Ended"]
    plant.die()


def test_an_event_that_the_journal_has_is_forgotten_though_its_unit_is_gone(plant: Plant) -> None:
    plant.desk.take(order("JO-77"), "erp")
    plant.tell()
    plant.commit()
    plant.die()
    plant.start(units=())
    assert plant.desk.news() == []
    plant.die()


DEEDS = st.lists(st.sampled_from(["take", "Stop", "stand", "run", "tell", "commit", "read", "die", "die"]), max_size=40)


@settings(deadline=None, max_examples=25)
@given(DEEDS)
def test_everything_is_told_once_wherever_it_dies(deeds: list[str]) -> None:
    with TemporaryDirectory() as folder:
        plant, taken, stopped = Plant(folder), 0, 0
        for deed in [*deeds, "die", "run", "run"]:
            plant.ns += SECOND_NS
            match deed:
                case "take":
                    plant.desk.take(order(f"JO-{taken}"), "erp")
                    taken += 1
                case "Stop":
                    with suppress(KeyError, Refused):
                        plant.desk.command(f"JO-{stopped}", "Stop", "erp")
                        stopped += 1
                case "stand" | "run":
                    plant.machine(ABORTED if deed == "stand" else EXECUTE, 100)
                case "die":
                    plant.die()
                    plant.start()
                case _:
                    getattr(plant, deed)()
        told = plant.events()
        plant.die()
    counted = Counter(one["EventId"] for one in told)
    assert set(counted.values()) <= {1}
    orders = Counter(one["Command"] for one in told if one["EventType"] == "OrderEvent")
    assert (orders["Store"], orders["Stop"]) == (taken, stopped)
    stops = [one["DowntimeState"] for one in told if one["EventType"] == "DowntimeEvent"]
    assert stops == ["Begun", "Ended"] * (len(stops) // 2)
