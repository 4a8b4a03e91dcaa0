"""Event streams over real sockets: every reading once, over breaks and restarts; what is slow harms only itself."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api import stream
from api.app import create
from gateway.hub import Hub
from gateway.journal import Journal
from gateway.model import Batch
from gateway.ports import listener
from gateway.serving import serving
from tests.drive import SITE, SPEED, Hall, Still, shown
from tests.simulation.loop import EPOCH_NS

TORQUE = f"{SITE}/hall/drive/torque"


@dataclass
class Life:
    """One life of a gateway: readings come by `emit`, each of the next number."""

    http: httpx.AsyncClient
    port: int
    hub: Hub
    journal: Journal
    hall: Hall

    def emit(self, value: float, path: str = SPEED) -> None:
        number = self.hall.catalog.number(path)
        self.hub(Batch.of([number], [EPOCH_NS + round(value)], [float(value)]))

    async def metric(self, name: str) -> float:
        text = (await self.http.get("/metrics")).text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def until(self, true: Callable[[float], bool], name: str) -> None:
        async with asyncio.timeout(20):
            while not true(await self.metric(name)):
                pass


@asynccontextmanager
async def life(folder: Path) -> AsyncIterator[Life]:
    hall = Hall(Still())
    with shown(hall, folder, Still()) as (view, hub), listener("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        async with (
            serving(create(view, {}), bound),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, limits=httpx.Limits()) as http,
            asyncio.TaskGroup() as tasks,
        ):
            journal: Journal = hub._journal
            tasks.create_task(journal.run())
            yield Life(http, port, hub, journal, hall)
            journal.close()


class Events:
    """A client: `values` are those of the readings it was told after the first event, `dropped` what it missed."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.id = ""
        self.values: list[float] = []
        self.dropped: list[dict[str, Any]] = []
        self.kinds: list[str] = []

    async def next(self) -> list[Any]:
        """Return the rows of the next event."""
        kind, data = "", b""
        async for line in self._lines:
            if line.startswith("id: "):
                self.id = line[4:]
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = line[6:].encode()
            elif line == "" and data:
                break
        self.kinds.append(kind)
        told = orjson.loads(data)
        if kind == "dropped":
            self.dropped.append(told)
            return []
        return list(told)

    async def until(self, value: float) -> None:
        """Take events until one has this value, and nothing behind it."""
        async with asyncio.timeout(20):
            while not self.values or self.values[-1] != value:
                self.values += [row["value"] for row in await self.next()]


@asynccontextmanager
async def opened(one: Life, last_id: str = "", match: str = SPEED) -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with one.http.stream("GET", "/api/v1/stream", params={"match": match}, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Events(aiter(answer.aiter_lines()))


async def test_it_begins_with_what_is_and_goes_on_with_every_reading(tmp_path: Path) -> None:
    async with life(tmp_path) as one:
        one.emit(1)
        async with opened(one, match="*/drive/*") as events:
            first = await events.next()
            assert {row["path"]: row["value"] for row in first} == {SPEED: 1.0} | {
                f"{SITE}/hall/drive/{name}": None for name in ("steps", "enable", "recipe", "torque")
            }
            for value in range(2, 200):
                one.emit(value, SPEED if value % 2 else TORQUE)
            await events.until(199)
            assert events.values == list(range(2, 200))


async def test_who_comes_back_gets_the_rest_once(tmp_path: Path) -> None:
    """Wherever it broke, also while nobody listened, and for another match."""
    async with life(tmp_path) as one:
        seen: list[float] = []
        last_id = ""
        for turn in range(5):
            async with opened(one, last_id) as events:
                if not last_id:
                    await events.next()
                for value in range(100 * turn, 100 * turn + 50):
                    one.emit(value)
                    one.emit(value, TORQUE)
                await events.until(100 * turn + 49)
                seen += events.values
                last_id = events.id
            for value in range(100 * turn + 50, 100 * turn + 100):
                one.emit(value)
        assert seen == list(range(450))


async def test_a_restart_is_no_gap(tmp_path: Path) -> None:
    async with life(tmp_path) as one, opened(one) as events:
        await events.next()
        one.emit(1)
        await events.until(1)
        one.emit(2)
        await one.journal.stored()
    async with life(tmp_path) as two:
        two.emit(3)
        async with opened(two, events.id) as again:
            await again.until(3)
            assert again.values == [2, 3]
            assert again.id.startswith(f"{two.journal.boot}-")


@pytest.mark.parametrize("lost", [1, 3, 300])
async def test_a_number_that_was_given_again_after_a_crash_is_another_record(tmp_path: Path, lost: int) -> None:
    """The first event may name a record that is not on the disk yet, and after a crash never will be."""
    async with life(tmp_path) as one:
        one.emit(1)
        await one.journal.stored()
        told = f"{one.journal.boot}-{one.journal.appended + lost}"
    async with life(tmp_path) as two:
        for value in range(2, 600):
            two.emit(value)
        await two.journal.stored()
        async with opened(two, told) as again:
            await again.until(599)
            assert again.values == list(range(2, 600))


@pytest.mark.parametrize("id", ["", "1", "-", "1-", "-7", "9-1", "1-99999", "x-1", "1-²", "1" * 50 + "-1", "1-1-1"])
async def test_an_id_that_is_none_of_ours_is_a_beginning(tmp_path: Path, id: str) -> None:
    async with life(tmp_path) as one:
        one.emit(1)
        headers = {b"Last-Event-ID": id.encode()}
        async with one.http.stream("GET", "/api/v1/stream", headers=headers) as answer:
            events = Events(aiter(answer.aiter_lines()))
            assert len(await events.next()) == 5


async def test_what_the_journal_has_no_longer_is_said(tmp_path: Path) -> None:
    async with life(tmp_path) as one, opened(one) as events:
        await events.next()
    async with life(tmp_path) as two:
        for value in range(20):
            two.emit(value)
        await two.journal.stored()
    async with life(tmp_path) as three:
        three.journal._file.trim(10, EPOCH_NS + 1)
        async with opened(three, events.id) as again:
            await again.until(19)
            assert again.kinds[:2] == ["dropped", "values"]
            assert again.dropped == [{"records": 10, "readings": None}]
            assert again.values[1:] == list(range(10, 20))  # the first is what is now, and nothing has come yet


async def test_who_is_slow_misses_the_oldest_and_is_told_how_many_and_others_miss_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_BEHIND_MAX", 400)
    n, wide = 4000, "x" * 2000
    async with life(tmp_path) as one:
        recipe = one.hall.catalog.number(f"{SITE}/hall/drive/recipe")

        def emit(value: int) -> None:
            one.hub(Batch.of([recipe], [EPOCH_NS + value], [f"{value} {wide}"]))

        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", one.port))
            await loop.sock_sendall(slow, b"GET /api/v1/stream?match=*/recipe HTTP/1.1\r\nHost: x\r\n\r\n")
            await one.until(lambda open_: open_ == 1, "gateway_streams")
            async with opened(one, match="*/recipe") as fast:
                await fast.next()
                told: list[Any] = []
                for value in range(n):
                    emit(value)
                    if value % 100 == 99:
                        while not told or not told[-1]["value"].startswith(f"{value} "):
                            told += await fast.next()
                assert [int(row["value"].split()[0]) for row in told] == list(range(n))
                assert fast.dropped == []
            reader = Events(_lines(slow))
            await reader.next()
            numbers: list[int] = []
            while not numbers or numbers[-1] != n - 1:
                rows = await reader.next()
                after_drop = len(reader.kinds) > 1 and reader.kinds[-2] == "dropped"
                numbers += [] if after_drop else [int(row["value"].split()[0]) for row in rows]
        assert reader.dropped
        assert len(numbers) + sum(one_["readings"] for one_ in reader.dropped) == n
        assert numbers == sorted(set(numbers))
        await one.until(lambda n_: n_ > 0, "gateway_stream_readings_dropped_total")


async def _lines(connection: socket.socket) -> AsyncIterator[str]:
    """The lines of a chunked answer, whose chunks are whole events here."""
    loop, rest = asyncio.get_running_loop(), b""
    while data := await loop.sock_recv(connection, 65_536):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode()


async def test_a_hundred_at_once_get_everything_and_are_let_go_when_they_vanish(tmp_path: Path) -> None:
    async with life(tmp_path) as one:

        async def follow() -> list[float]:
            async with opened(one) as events:
                await events.next()
                started.release()
                await events.until(29)
                return events.values

        started = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as tasks:
            clients = [tasks.create_task(follow()) for _ in range(100)]
            for _ in range(100):
                await started.acquire()
            assert await one.metric("gateway_streams") == 100
            for value in range(30):
                one.emit(value)
                await one.journal.stored()
        assert all(client.result() == list(range(30)) for client in clients)
        await one.until(lambda open_: open_ == 0, "gateway_streams")


async def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_STREAMS_MAX", 1)
    async with life(tmp_path) as one, opened(one) as events:
        await events.next()
        answer = await one.http.get("/api/v1/stream")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["status"] == 503


async def test_silence_is_a_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_HEARTBEAT_S", 0.05)
    async with life(tmp_path) as one, one.http.stream("GET", "/api/v1/stream") as answer:
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                break


async def test_the_end_of_the_gateway_is_the_end_of_its_streams(tmp_path: Path) -> None:
    async with life(tmp_path) as one, opened(one) as events:
        await events.next()
        one.journal.close()
        async with asyncio.timeout(10):
            assert [line async for line in events._lines] == []
