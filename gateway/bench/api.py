"""What answers of the API cost beside a bare ASGI application of the same bytes, on the same server in the same run.

The server is this process, the client another one, so the CPU of this process is that of the answers. Readings come as
they would from one device of 100 tags.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import create
from api.present import Present
from gateway.audit import AuditFile, AuditLog
from gateway.bench.asker import quantiles
from gateway.bench.measured import ROUNDS
from gateway.calls import Calls
from gateway.clock import SystemClock, ThreadOffload, loop_factory
from gateway.derive import Derived
from gateway.historian.history import History, Progress
from gateway.historian.queries import Queries
from gateway.historian.schema import engine
from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.latest import Latest
from gateway.ledger import Ledger, LedgerFile
from gateway.model import Batch, Catalog, Tag
from gateway.ports import listener
from gateway.ratings import Ratings, RatingsFile
from gateway.serving import serving
from gateway.view import View
from gateway.writes import Writes

_ASSET: Final = "bench/site/line/machine"
_TRAIL_BYTES: Final = 1 << 20
_TAGS: Final = 100
_ASKED: Final = 3_000
_STREAMS: Final = 100
_EVENTS: Final = 250
_HZ: Final = 50
_DAY: Final = 86_400
_START_NS: Final = 1_767_225_600_000_000_000  # 2026-01-01
_VALUES: Final = "/api/v1/values?match=*/v*"
_HEAVY: Final = (
    f"/api/v1/history/{_ASSET}/v0?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&limit=100000",
    f"/api/v1/history/{_ASSET}/v0?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&bucket=1min&detailed=true",
    f"/api/v1/history/{_ASSET}/v0?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&points=2000",
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One way to ask: CPU of the server per answer, or per event and stream, and times of the client."""

    name: str
    cpu_us: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Plant:
    """A gateway of which only what the API needs runs; readings come by `hub`."""

    view: View
    hub: Hub
    journal: Journal

    def emit(self) -> None:
        """Let every tag have the time of this moment as its value."""
        now = time.monotonic()
        self.hub(Batch.of(range(_TAGS), time.time_ns(), np.full(_TAGS, now)))


def measure() -> list[Answered]:
    """Measure all of it; takes half a minute."""
    sys.setswitchinterval(0.0005)  # as gateway run has it
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Answered]:
    async with _plant(folder) as plant:
        plant.emit()
        app = create(plant.view, {})
        body = b"[%s]" % Present(plant.view, np.arange(_TAGS, dtype=np.uint32)).joined()
        async with _served(_bare(body)) as bare, _served(app) as port:
            told: list[Answered] = []
            async with _emitting(plant, 10):
                told += [await _asked("bare ASGI, the same bytes", bare, "/")]
                told += [await _asked("100 values, fast route", port, _VALUES)]
                told += [await _asked("100 values, through FastAPI", port, f"{_VALUES}&long=way")]
                told += [await _asked("one value", port, f"/api/v1/values/{_ASSET}/v0")]
            told += [await _followed(f"{_STREAMS} streams, {_HZ} Hz", plant, port, _STREAMS)]
            told += await _beside_heavy_queries(plant, port)
    return told


# --- what is asked ------------------------------------------------------------------------


async def _asked(name: str, port: int, target: str) -> Answered:
    """Ask again and again on one connection; the best of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        async with _asker("get", port, _ASKED, target) as client:
            said = json.loads((await client.communicate())[0])
        cpu_us = 1e6 * (time.process_time() - begin) / _ASKED
        rounds.append(Answered(name, cpu_us, said["p50_ms"], said["p99_ms"]))
    return min(rounds, key=lambda one: one.cpu_us)


async def _followed(name: str, plant: Plant, port: int, streams: int, events: int = _EVENTS) -> Answered:
    async with _asker("follow", port, streams, events) as client:
        assert client.stdout is not None
        await client.stdout.readline()
        begin = time.process_time()
        async with _emitting(plant, _HZ):
            said = json.loads((await client.communicate())[0])
        cpu_us = 1e6 * (time.process_time() - begin) / said["events"]
    return Answered(name, cpu_us, said["p50_ms"], said["p99_ms"])


async def _beside_heavy_queries(plant: Plant, port: int) -> list[Answered]:
    """How old readings are when they are in the journal and when a stream has them, without and with heavy queries."""
    told = []
    for beside in ("", ", beside heavy queries"):
        async with AsyncExitStack() as stack:
            for target in _HEAVY if beside else ():
                await stack.enter_async_context(_asker("get", port, 1_000_000, target))
            stored = await stack.enter_async_context(_storing(plant))
            told.append(await _followed(f"live{beside}", plant, port, 1, 6 * _HZ))
        ages = quantiles(stored)
        told.append(Answered(f"stored{beside}", 0.0, ages["p50_ms"], ages["p99_ms"]))
    return told


@asynccontextmanager
async def _asker(*words: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """A client of ours as a process, which is ended with the scope."""
    command = (sys.executable, "-m", "gateway.bench.asker", *map(str, words))
    client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield client
    finally:
        with suppress(ProcessLookupError):
            client.kill()
        await client.wait()


# --- what answers -------------------------------------------------------------------------


def _bare(body: bytes) -> ASGIApp:
    """The least that an ASGI application can do to answer these bytes."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


@asynccontextmanager
async def _served(app: ASGIApp) -> AsyncIterator[int]:
    with listener("127.0.0.1", 0) as bound:
        async with serving(app, bound):
            yield bound.getsockname()[1]


@asynccontextmanager
async def _emitting(plant: Plant, hz: int) -> AsyncIterator[None]:
    async def emit() -> None:
        due = time.monotonic()
        while True:
            plant.emit()
            due += 1 / hz
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(emit())
        yield
        task.cancel()


@asynccontextmanager
async def _storing(plant: Plant) -> AsyncIterator[list[float]]:
    """Collect how long it takes until what was emitted is in the journal [s]."""
    took: list[float] = []

    async def look() -> None:
        while True:
            await asyncio.sleep(0.02)
            begin = time.perf_counter()
            plant.emit()
            await plant.journal.stored()
            took.append(time.perf_counter() - begin)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(look())
        yield took
        task.cancel()


@asynccontextmanager
async def _plant(folder: Path) -> AsyncIterator[Plant]:
    """A gateway of 100 tags, one of which has a day of a reading per second in history."""
    clock, catalog = SystemClock(), Catalog(Tag(_ASSET, f"v{k}", unit="Cel") for k in range(_TAGS))
    with ExitStack() as stack:
        write, work = (ThreadOffload(stack.enter_context(ThreadPoolExecutor(n))) for n in (1, 2))
        file, books = JournalFile(folder / "journal.db"), LedgerFile(folder / "ledger.db")
        trail = AuditFile(folder / "audit", _TRAIL_BYTES, clock)
        url = f"sqlite:///{folder / 'history.db'}"
        history, ratings = History(engine(url)), RatingsFile(folder / "ratings.db")
        queries = Queries(history, url, work)
        for one in (file, books, trail, history, ratings):
            stack.callback(one.close)
        _fill(history, catalog[0])
        journal, latest = Journal(file, write, clock), Latest(_TAGS)
        hub = Hub(catalog, latest, journal)
        devices: dict[str, Any] = {}
        writes = Writes(catalog, "bench/site", devices.__getitem__, [], clock)
        view = View(
            gateway="bench",
            site="bench/site",
            catalog=catalog,
            latest=latest,
            hub=hub,
            journal=journal,
            ledger=Ledger(books, write, catalog, clock, retention_s=3600.0),
            past=queries.ask,
            work=work,
            clock=clock,
            devices=devices,
            parts={},
            writes=writes,
            calls=Calls(writes, "bench/site", {}),
            audit=AuditLog(trail, write, clock),
            derived=Derived({}, 0),
            ratings=Ratings(ratings, write, catalog, clock),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(journal.run())
            answering = tasks.create_task(queries.run(lambda: None))
            yield Plant(view, hub, journal)
            journal.close()
            answering.cancel()


def _fill(history: History, tag: Tag) -> None:
    (series,) = history.series([tag]).tolist()
    value = np.round(50 + np.cumsum(np.random.default_rng(1).normal(0, 0.05, _DAY)), 2)
    times = _START_NS + np.arange(_DAY, dtype=np.int64) * 1_000_000_000
    history.append([Batch.of([series] * _DAY, times, value)], Progress("bench", "j", 1), 0)
    for waiting in history.tail():
        history.compact(waiting.shard)


def table(rows: Sequence[Answered]) -> list[str]:
    """Return the figures as lines of text."""
    lines = [f"{'the API':38}{'CPU us':>9}{'x bare':>9}{'p50 ms':>9}{'p99 ms':>9}"]
    for row in rows:
        ratio = f"{row.cpu_us / rows[0].cpu_us:.2f}" if "value" in row.name else ""
        cpu = f"{row.cpu_us:.1f}" if row.cpu_us and "live" not in row.name else ""
        lines.append(f"{row.name:38}{cpu:>9}{ratio:>9}{row.p50_ms:>9.3f}{row.p99_ms:>9.3f}")
    return lines
