"""Questions to history in their own process: the same answers, and what is left of it when things go wrong."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import gateway.historian.queries
from api.app import create
from gateway.contracts import Answer
from gateway.historian.history import History, Progress
from gateway.historian.queries import Queries, nobody_leaves
from gateway.historian.schema import engine
from gateway.model import Batch
from gateway.supervise import Backoff, Health, keep_running, running
from tests import questions
from tests.drive import SPEED, Hall, Still, served, shown
from tests.inline import inline
from tests.integration.process import GatewayProcess, write
from tests.simulation.loop import EPOCH_NS

S = 1_000_000_000
N = 50_000
START_NS = EPOCH_NS - N * S
SPEED_TAG = {"register": "holding:0"}
SPAN = {"from": "2026-01-04T00:00:00Z", "to": "2026-01-06T00:00:00Z"}
ASKED: list[tuple[str, dict[str, Any]]] = [
    (f"/api/v1/history/{SPEED}", SPAN | {"limit": 50_000}),
    (f"/api/v1/history/{SPEED}", SPAN | {"limit": 100}),
    (f"/api/v1/history/{SPEED}", SPAN | {"limit": 50_000, "format": "csv", "quality": "good"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"limit": 50_000, "format": "ndjson"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"limit": 1_000_000, "format": "arrow"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"points": 500, "method": "minmax"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"bucket": "1h"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"bucket": "10s", "detailed": "true"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"bucket": "1ms"}),
    (f"/api/v1/history/{SPEED}", SPAN | {"cursor": "1767500000000000000.9"}),
    ("/api/v1/history", SPAN | {"tag": SPEED, "every": "7s"}),
    (f"/api/v1/values/{SPEED}", {"at": "2026-01-05T05:00:00Z", "good": "true"}),
    (f"/api/v1/values/{SPEED}", {"at": "1970-01-01T00:00:00Z"}),
]


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[tuple[History, Queries]]:
    """A history of 50,000 readings, a tenth of them bad and a part not compacted yet, and its process."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    history = History(engine(url))
    (series,) = history.series([Hall(Still()).catalog[0]]).tolist()
    times, bad = START_NS + np.arange(N) * S, np.where(np.arange(N) % 10 == 9, 0x808A_0000, 0)
    for some in (slice(0, 45_000), slice(45_000, N)):
        rows = times[some], np.sin(np.arange(N))[some], bad[some]
        history.append([Batch.of([series] * len(rows[0]), *rows)], Progress("gw1", "j", 1), 0)
        if some.start == 0:
            history.compact(0)
    queries = Queries(history, url, inline)
    health = Health("queries")
    at_once = Backoff(0.01, 0.01)
    kept = keep_running(queries.run, health, clock=Still(), chance=random.Random(1), backoff=at_once)
    async with running(kept):
        yield history, queries
    history.close()


async def asked(queries: Queries, question: Any, *args: Any) -> Any:
    return (await queries.ask(question, args, nobody_leaves)).about


async def body(answer: Answer[Any]) -> bytes:
    assert answer.rest is not None
    return answer.body + b"".join([piece async for piece in answer.rest])


async def test_answers_are_those_of_the_same_process(tmp_path: Path, past: tuple[History, Queries]) -> None:
    history, queries = past
    hall = Hall(Still())
    leaf = {"elementIds": [SPEED, "nothing", "acme/test/hall/drive"], "maxDepth": 0}
    i3x = leaf | {"startTime": "2026-01-04T00:00:00Z", "endTime": "2026-01-06T00:00:00Z"}
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(served(hall, tmp_path, {}, history))
        (folder := tmp_path / "there").mkdir()
        view, _ = stack.enter_context(shown(hall, folder, Still()))
        view.keeps_history, view._past = True, queries.ask
        transport = httpx.ASGITransport(create(view, {}), raise_app_exceptions=False)
        there = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://gateway"))
        for path, params in ASKED:
            known, told = [await client.get(path, params=params) for client in (here, there)]
            assert (told.status_code, told.headers, told.content) == (known.status_code, known.headers, known.content)
            if tag := told.headers.get("etag"):
                again = await there.get(path, params=params, headers={"If-None-Match": tag})
                assert (again.status_code, again.content) == (304, b"")
        known, told = [await client.post("/i3x/v1/objects/history", json=i3x) for client in (here, there)]
        assert (told.status_code, told.content) == (known.status_code, known.content)
        assert len(told.json()["results"][0]["result"]["values"]) > 10_000
    assert queries.counts()["questions_dropped"] == 0


async def test_what_is_new_in_history_is_found(past: tuple[History, Queries]) -> None:
    history, queries = past
    tag = Hall(Still()).catalog[1]
    assert (await queries.ask(read, (tag.path,), nobody_leaves)).about == 0
    (series,) = history.series([tag]).tolist()
    history.append([Batch.of([series], START_NS, np.array([1.0]))], Progress("gw1", "j", 2), 0)
    assert (await queries.ask(read, (tag.path,), nobody_leaves)).about == 1


def read(past: History, path: str) -> tuple[int, bytes]:
    return sum(map(len, past.readings(path, 0, 2**62))), b""


async def test_a_killed_process_is_said_and_started_again(past: tuple[History, Queries]) -> None:
    _, queries = past
    first = await asked(queries, questions.pid)
    held = await queries.ask(questions.long, (1_000_000,), nobody_leaves)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(failed(queries, questions.until_left, SPEED))
        assert await asked(queries, questions.has_started)
        os.kill(first, signal.SIGKILL)
    assert "query process ended with code -9" in waiting.result()
    with pytest.raises(ConnectionError, match="query process"):
        await body(held)
    assert await once_back(queries, questions.pid) != first


async def once_back(queries: Queries, question: Any) -> Any:
    """Ask until the process is there again."""
    while True:
        try:
            return await asked(queries, question)
        except ConnectionError as error:
            if "started again" not in str(error):
                raise
            await asyncio.sleep(0)


async def failed(queries: Queries, question: Any, *args: Any) -> str:
    with pytest.raises(ConnectionError) as error:
        await asked(queries, question, *args)
    return str(error.value)


async def test_a_question_ends_when_who_asked_has_left(
    past: tuple[History, Queries], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.historian.queries, "_LOOK_S", 0.01)
    _, queries = past

    async def gone() -> bool:
        return bool(await asked(queries, questions.has_started))

    with pytest.raises(ConnectionAbortedError):
        await queries.ask(questions.until_left, (SPEED,), gone)
    assert await asked(queries, questions.has_left)
    assert queries.counts()["questions_dropped"] == 1


async def test_who_takes_his_time_holds_up_nobody_and_may_leave(
    past: tuple[History, Queries], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.historian.queries, "_ROOM_S", 0.05)
    _, queries = past
    size = 400_000
    held = [await queries.ask(questions.long, (size,), nobody_leaves) for _ in range(31)]
    one = await queries.ask(questions.long, (size,), nobody_leaves)
    with pytest.raises(ConnectionError, match="32 other questions"):
        await asked(queries, questions.pid)
    assert (await body(one)) == np.arange(size, dtype=np.uint32).tobytes()
    assert await asked(queries, questions.pid)
    del held
    for _ in range(40):
        one = await queries.ask(questions.long, (size,), nobody_leaves)
        del one
    assert (await body(await queries.ask(questions.long, (size,), nobody_leaves)))[-4:] == (size - 1).to_bytes(
        4, "little"
    )
    assert queries.counts()["questions_dropped"] == 71


async def test_who_leaves_while_a_piece_is_on_its_way_harms_nobody(past: tuple[History, Queries]) -> None:
    _, queries = past
    here = await asked(queries, questions.pid)
    answer = await queries.ask(questions.long, (1_000_000,), nobody_leaves)
    async with asyncio.TaskGroup() as group:
        piece = group.create_task(body(answer))
        await asyncio.sleep(0)  # it waits
        piece.cancel()
    assert await asked(queries, questions.pid) == here


async def test_who_waits_for_it_to_be_started_is_told_when_the_gateway_stops(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    history, busy = History(engine(url)), asyncio.Event()

    async def never(work: Any, /, *args: Any, **kwargs: Any) -> Any:
        busy.set()
        await asyncio.Event().wait()

    queries = Queries(history, url, never)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(queries.run(lambda: None))
        waiting = group.create_task(failed(queries, questions.pid))
        await busy.wait()
        running.cancel()
    assert "is being stopped" in waiting.result()
    history.close()


async def test_it_can_write_nothing_and_has_no_secrets(
    past: tuple[History, Queries], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, queries = past
    assert "readonly" in await failed(queries, questions.writes)
    with pytest.raises(KeyError, match="what is asked"):
        await asked(queries, questions.wrong)
    assert {"PATH"} <= (await asked(queries, questions.environment)).keys()
    monkeypatch.setenv("MQTT_PASSWORD", "secret")
    os.kill(await asked(queries, questions.pid), signal.SIGKILL)
    assert "MQTT_PASSWORD" not in await once_back(queries, questions.environment)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize("killed", [False, True])
def test_it_ends_with_the_gateway(tmp_path: Path, killed: bool) -> None:
    config = {
        "site": {"enterprise": "acme", "site": "test"},
        "bus": {"url": "mqtt://127.0.0.1:1"},
        "api": {"listen": "127.0.0.1:0"},
        "data_dir": str(tmp_path / "data"),
        "devices": {"drive": {"connect": "modbus://127.0.0.1:1", "asset": "hall/drive", "tags": {"speed": SPEED_TAG}}},
    }
    process = GatewayProcess(write(tmp_path / "plant.yaml", config))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    process.until(lambda: process.get("/readyz")["checks"]["queries"]["status"] == "pass")
    assert children.read_text(encoding="ascii") == ""
    assert process.get("/api/v1/history/hall/drive/speed")["next"] is None
    (child,) = children.read_text(encoding="ascii").split()
    assert "answering" in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8")
    if killed:
        process.kill()
        process.until(lambda: not Path(f"/proc/{child}").exists())
    else:
        assert process.stop()[0] == 0
        assert not Path(f"/proc/{child}").exists()
