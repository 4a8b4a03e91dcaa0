"""From one configuration to the next: which signals remember what they know, and a disk that fails."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.cli._process import check_text
from gateway.config.change import diff
from gateway.derive import Derived
from gateway.devices import Devices
from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.latest import Latest
from gateway.ledger import Ledger, LedgerFile
from gateway.model import Catalog
from gateway.switch import Switch
from tests.inline import inline
from tests.simulation.loop import LoopClock

HALL = "modbus://127.0.0.1:5020"


def text(*tags: str, **signals: Any) -> str:
    named = {tag: {"register": f"holding:{'abcdef'.index(tag)}"} for tag in tags}
    devices = {"saw": {"connect": HALL, "asset": "hall/saw", "tags": named}}
    return json.dumps({"site": {"enterprise": "acme", "site": "test"}, "devices": devices, "signals": signals})


class Plant:
    """What a switch holds, without anything that runs."""

    def __init__(self, folder: Path, first: str) -> None:
        self.text = first
        self.file = JournalFile(folder / "journal.db")
        self.catalog, self.latest, clock = Catalog(), Latest(), LoopClock()
        journal = Journal(self.file, inline, clock)
        self.switch = Switch(
            check_text(first, "plant.yaml")[0],
            self.catalog,
            self.latest,
            journal,
            lambda catalog: inline(self.file.save, catalog),
            clock,
        )
        planned = self.switch.begin(*check_text(first, "plant.yaml"), {}).devices
        self.file.save(self.catalog)
        self.books = LedgerFile(folder / "ledger.db")
        ledger = Ledger(self.books, inline, self.catalog, clock, retention_s=1.0)
        ledger.begin(self.file, journal, {device.name: device.connector for device in planned})
        hub = Hub(self.catalog, self.latest, journal)
        self.devices = Devices(planned, hub, self.latest, ledger, clock, Random(1))

    @property
    def derived(self) -> Derived:
        return self.switch.derived

    async def turn(self, following: str, *, broken: bool = False) -> None:
        before, (config, document) = check_text(self.text, "before")[0], check_text(following, "plant.yaml")
        planned = self.switch.plan(config, document, diff(before, config), {})
        if broken:
            self.file.close()
        await self.switch.turn(planned, self.devices)
        self.text = following


def drift(tag: str, **keys: Any) -> dict[str, Any]:
    return {"type": "drift", "input": f"hall/saw/{tag}", **keys}


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoopClock, "now_ns", lambda self: 1_700_000_000_000_000_000)


async def test_signals_stay_unless_they_or_what_they_watch_are_others(tmp_path: Path) -> None:
    plant = Plant(tmp_path, text("a", "b", one=drift("a"), two=drift("b")))
    one, two = plant.derived.signals.values()
    await plant.turn(text("a", "b", "c", one=drift("a"), two=drift("b"), three=drift("c")))
    assert [*plant.derived.signals.values()][:2] == [one, two]
    assert (len(plant.derived.signals), plant.derived.tags) == (3, len(plant.catalog))
    await plant.turn(text("a", "b", "c", one=drift("a"), two=drift("c"), three=drift("c")))
    assert plant.derived.signals["one"] is one
    assert plant.derived.signals["two"] is not two
    plant.file.close()
    plant.books.close()


async def test_a_disk_that_fails_changes_nothing(tmp_path: Path) -> None:
    plant = Plant(tmp_path, text("a", "b"))
    device, paths = plant.devices["saw"], [plant.catalog[number].path for number in plant.catalog]
    with pytest.raises(OSError, match="the journal cannot be written"):
        await plant.turn(text("a", "c"), broken=True)
    assert plant.devices["saw"] is device
    assert [plant.catalog[number].path for number in plant.catalog] == paths
    plant.books.close()
