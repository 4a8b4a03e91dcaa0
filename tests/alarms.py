"""A register of alarms with its file, over a journal that is a list."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.alarms.alarm import Alarm, Settings
from gateway.alarms.file import AlarmFile
from gateway.alarms.keeper import AlarmKeeper
from gateway.alarms.register import TAG, Register
from gateway.alarms.rule import Kind, Rule
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.batch import objects
from gateway.model.method import Method
from gateway.model.tag import EVENT
from tests.inline import inline

SITE = "acme/test"
ASSET = f"{SITE}/hall/tank"
SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS
PRIORITIES = {"low": 250, "medium": 500, "high": 800}
HIGH = Rule("hall/tank/level/high", "high", f"{ASSET}/level", ASSET, Kind.LIMIT, "medium", 500, limit=5.0)
LATCHED = Rule(
    "hall/tank/heat/hot", "hot", f"{ASSET}/heat", ASSET, Kind.LIMIT, "high", 800, limit=9.0, latching=True, text="hot!"
)
SLOW = Rule(
    "hall/tank/flow/low",
    "low",
    f"{ASSET}/flow",
    ASSET,
    Kind.LIMIT,
    "low",
    250,
    1.0,
    high=False,
    on_delay_ns=5 * SECOND_NS,
)
RULES = (HIGH, LATCHED, SLOW)
TAGS = ("level", "heat", "flow")


class Clock:
    """What a test says."""

    def __init__(self) -> None:
        self.ns = 1_000 * SECOND_NS

    def now_ns(self) -> int:
        return self.ns


class Room:
    """A register, the records of its journal so far, and what it has told."""

    def __init__(self, folder: Path, rules: Sequence[Rule] = RULES, methods: Sequence[str] = ()) -> None:
        tags = [Tag(rule.asset, rule.source) for rule in rules]
        events = [
            Tag(ASSET, "server", datatype=EVENT),
            *(Tag(asset, TAG, datatype=EVENT) for asset in {ASSET, *(r.asset for r in rules)}),
        ]
        self.catalog = Catalog([*tags, *events])
        self.records: list[Record] = []
        self.events: list[dict[str, Any]] = []
        self.clock = Clock()
        self._folder, self.rules = folder, rules
        self.file = AlarmFile(folder / "alarms.db")
        self._methods = {path: Method("device", path, {}) for path in methods}
        self.open()

    def open(self) -> None:
        """Begin, or begin again as after a crash."""
        self.file.close()
        self.file = AlarmFile(self._folder / "alarms.db")
        settings = Settings(SITE, "journal", PRIORITIES, 8 * HOUR_NS, 10**18)
        self.register = Register(self.file, self.catalog, self.rules, self._methods, settings, self.clock.now_ns)
        self.keeper = AlarmKeeper(self.register, self.file, inline, self.catalog, self.clock, len(self.records))

    def emit(self, *batches: Batch) -> None:
        """What the hub does: a record more in the journal."""
        n = len(self.records) + 1
        self.records.append(Record(n, 0, 1, n, self.clock.now_ns(), batches))
        self.events += [event for batch in batches if batch.kind.name == "OBJECT" for event in batch.value]

    def read(self, tag: str, value: Any, quality: int = 0) -> None:
        """A reading of a tag comes now, and into the journal."""
        values = objects([value]) if isinstance(value, dict) else value
        self.emit(Batch.of([self.catalog.number(f"{ASSET}/{tag}")], self.clock.now_ns(), values, quality))

    async def say(self, tag: str, value: Any, quality: int = 0) -> None:
        """A reading of a tag comes now, and to the register."""
        self.read(tag, value, quality)
        await self.keeper.write(self.records[-1:])

    async def alarm(self, id: str) -> Alarm:
        return (await self.keeper.one(id))[0]


@contextmanager
def room(folder: Path, rules: Sequence[Rule] = RULES, methods: Sequence[str] = ()) -> Iterator[Room]:
    opened = Room(folder, rules, methods)
    yield opened
    opened.file.close()
