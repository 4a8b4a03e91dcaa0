"""A drive that can be written: a Connector and Writer in memory, which does what a test tells it to do wrong."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from api.access import Client
from api.app import create
from gateway.alarms.keeper import AlarmKeeper
from gateway.audit import Entry
from gateway.audit.entry import signed
from gateway.calls import Calls
from gateway.config import Api
from gateway.contracts import Clock, Connector, Emit
from gateway.derive import Derived
from gateway.historian.history import History
from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.latest import Latest
from gateway.ledger import Ledger, LedgerFile
from gateway.model import Catalog, Tag
from gateway.model.method import Argument, Called, Method
from gateway.ratings import Ratings, RatingsFile
from gateway.supervise import Health
from gateway.view import View
from gateway.writes import Writes
from tests.inline import asking, inline
from tests.simulation.loop import EPOCH_NS

SITE = "acme/test"
NO_KEYS = Api()
SPEED = f"{SITE}/hall/drive/speed"
TAGS = [
    Tag(f"{SITE}/hall/drive", "speed", device="drive", writable=True, limits=(0.0, 200.0), unit="Hz"),
    Tag(f"{SITE}/hall/drive", "steps", device="drive", writable=True, limits=(0.0, 2.0**64)),
    Tag(f"{SITE}/hall/drive", "enable", device="drive", writable=True),
    Tag(f"{SITE}/hall/drive", "recipe", device="drive", writable=True),
    Tag(f"{SITE}/hall/drive", "torque", device="drive", low=0.0, high=50.0),
]
METHODS = {
    f"{SITE}/hall/drive/move": Method(
        "drive",
        "move",
        {"Position": Argument((0.0, 200.0)), "Mode": Argument(choices=("slow", "fast")), "Enable": Argument()},
        interval_s=1.0,
    ),
    f"{SITE}/hall/drive/reset": Method("drive", "reset", {}),
}


class Drive:
    """`written` is what it was told, and `called` which methods, in order.

    `busy_most` is how many writes of one tag it ever saw at the same time.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}
        self.written: list[tuple[int, Any]] = []
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.says = Called(0, "Good", {"Position": "Good"}, {"Done": True})
        self.busy_most = 0
        self.takes_s = 0.0
        self.trouble: Exception | None = None
        self.keeps: Callable[[Any], Any] = lambda value: value
        self._busy: Counter[int] = Counter()

    async def run(self, emit: Emit) -> None:
        await asyncio.Event().wait()

    async def write(self, number: int, value: float | str | bool) -> Any:
        self._busy[number] += 1
        self.busy_most = max(self.busy_most, self._busy[number])
        try:
            self.written.append((number, value))
            await asyncio.sleep(self.takes_s)
        finally:
            self._busy[number] -= 1
        if self.trouble is not None:
            raise self.trouble
        return self.keeps(value)

    async def call(self, method: str, arguments: Mapping[str, float | str | bool]) -> Called:
        self.called.append((method, dict(arguments)))
        await asyncio.sleep(self.takes_s)
        if self.trouble is not None:
            raise self.trouble
        return self.says


class Heard:
    """An audit trail in memory: what it was told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        self.entries.append(signed(entry))

    often = add

    async def page(self, before: int | None, limit: int, who: str = "", action: str = "") -> tuple[list[Any], None]:
        return [], None


class Hall:
    """A catalog, a drive that is up, and the door to it; `erp` may write."""

    def __init__(self, clock: Clock, tags: Sequence[Tag] = TAGS) -> None:
        self.audit = Heard()
        self.catalog = Catalog(tags)
        self.drive = Drive()
        self.health = Health("device drive", state="up")
        devices: dict[str, tuple[Connector, Health]] = {"drive": (self.drive, self.health)}
        self.writes = Writes(self.catalog, SITE, devices.__getitem__, ["erp", "mes"], clock, self.audit)
        self.calls = Calls(self.writes, SITE, METHODS)
        self.derived = Derived({}, 0)
        self.alarms: AlarmKeeper | None = None


class Still:
    """A Clock that stands."""

    def now_ns(self) -> int:
        return EPOCH_NS


@contextmanager
def shown(hall: Hall, folder: Path, clock: Clock, history: History | None = None) -> Iterator[tuple[View, Hub]]:
    """The view of a gateway of which nothing runs, and the hub through which a test lets readings come."""
    file, books = JournalFile(folder / "journal.db"), LedgerFile(folder / "ledger.db")
    journal, latest = Journal(file, inline, clock), Latest(len(hall.catalog))
    ratings = RatingsFile(folder / "ratings.db")
    hub = Hub(hall.catalog, latest, journal)
    yield (
        View(
            gateway="gw1",
            site=SITE,
            catalog=hall.catalog,
            latest=latest,
            hub=hub,
            journal=journal,
            ledger=Ledger(books, inline, hall.catalog, clock, retention_s=1e9),
            past=None if history is None else asking(history),
            work=inline,
            clock=clock,
            devices={},
            parts={},
            writes=hall.writes,
            calls=hall.calls,
            alarms=hall.alarms,
            audit=hall.audit,
            derived=hall.derived,
            ratings=Ratings(ratings, inline, hall.catalog, clock),
        ),
        hub,
    )
    ratings.close()
    file.close()
    books.close()


@asynccontextmanager
async def served(
    hall: Hall,
    folder: Path,
    tokens: Mapping[str, str | Client],
    history: History | None = None,
    *,
    keys: Api = NO_KEYS,
) -> AsyncIterator[httpx.AsyncClient]:
    """The API of a gateway of which nothing runs, and a client of it; the clock stands."""
    with shown(hall, folder, Still(), history) as (view, _):
        clients = {n: Client(t) if isinstance(t, str) else t for n, t in tokens.items()}
        transport = httpx.ASGITransport(create(view, clients, keys), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield http
