"""History on PostgreSQL gives the answers of a plain list, and of SQLite; a kill of its writer loses nothing there."""

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from api import past
from gateway.backtest.replay import seconds
from gateway.historian.backup import findings
from gateway.historian.history import History, Progress
from gateway.historian.queries import Queries, nobody_leaves
from gateway.historian.rollup import HOUR_NS
from gateway.historian.schema import engine, reading
from gateway.model import Batch, Tag
from gateway.supervise import Health, keep_running, running
from tests import questions, servers
from tests.drive import Still
from tests.inline import inline
from tests.integration import test_history_killed as killed
from tests.property.test_history import HistoryMachine

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.postgresql(tmp_path_factory.mktemp("history")) as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    return database(server)


def database(server: str) -> str:
    """The URL of a new database."""
    name = f"history{next(_NUMBERS)}"
    opened = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with opened.connect() as db:
        db.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    opened.dispose()
    return server.rpartition("/")[0] + f"/{name}"


def test_any_order_of_doings_gives_what_a_list_gives(server: str) -> None:
    class OnPostgresql(HistoryMachine):
        def empty(self) -> str:
            return database(server)

    run_state_machine_as_test(
        OnPostgresql,
        settings=settings(
            deadline=None, max_examples=6, stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow]
        ),
    )


def filled(url: str, seed: int) -> History:
    """Readings of two tags, out of order and again, compacted now and then."""
    chance = np.random.default_rng(seed)
    history = History(engine(url))
    series = history.series([Tag("plant/a", "x", unit="bar"), Tag("plant/a", "y")])
    for position in range(1, 30):
        time = chance.integers(0, 5 * 3600, 40) * 1_000_000_000 - (position % 3) * 86_400_000_000_000
        value = np.round(chance.normal(50, 10, 40), 2)
        value[:3] = np.nan, np.inf, -0.0
        quality = chance.choice([0, 0, 0, 0x808A_0000], 40)
        batch = Batch.of(series[chance.integers(0, 2, 40)], time, value, quality)
        history.append([batch], Progress("g", "j", position), position)
        if position % 7 == 0:
            history.compact(0)
    return history


def test_a_backtest_reads_the_same_of_both_and_changes_neither(url: str, tmp_path: Path) -> None:
    came = []
    for one in (url, f"sqlite:///{tmp_path / 'history.db'}"):
        filled(one, seed=1).close()
        reader = History(reading(one))
        came.append(
            [
                (batch.tag.tolist(), batch.time.tolist(), batch.value.tobytes(), batch.quality.tolist())
                for second in seconds(reader, {0: "plant/a/x", 1: "plant/a/y"}, 0, 5 * HOUR_NS)
                for batch in second
            ]
        )
        with pytest.raises(DBAPIError, match=r"read-?only"):
            reader.series([Tag("plant/a", "z")])
        reader.close()
    assert came[0] == came[1]
    assert len(came[0]) > 200


def told(history: History) -> list[Any]:
    """What a history answers to each kind of question, columns as text: NaN is itself there.

    Roll-ups are compared as numbers: SQLite has only one zero.
    """
    path, (start, end) = "plant/a/x", (-3 * 86_400_000_000_000, 86_400_000_000_000)
    (raw,) = history.readings(path, start, end)
    summary = history.summary(path, start, end, HOUR_NS)
    last = history.at(path, 7_200_000_000_000, usable=True)
    assert summary is not None
    assert last is not None
    columns = [
        raw.time,
        raw.value,
        raw.quality,
        summary.held,
        summary.time_mean,
        summary.changes,
        last.time,
        last.value,
    ]
    rows = [history.aggregate(path, start, end, width_ns).rows() for width_ns in (HOUR_NS, 300_000_000_000)]
    return [[str(column.tolist()) for column in columns], *rows]


@pytest.mark.parametrize("seed", range(3))
def test_both_databases_give_the_same_answers(url: str, tmp_path: Path, seed: int) -> None:
    histories = [filled(f"sqlite:///{tmp_path / 'history.db'}", seed), filled(url, seed)]
    one, other = map(told, histories)
    for history in histories:
        history.close()
    assert one == other


def test_both_databases_have_the_same_views(url: str, tmp_path: Path) -> None:
    names = "path, time_ns, count, good, good_share, minimum, maximum, mean, deviation, first, last"
    times = {
        "sqlite": "time, first_time, last_time",
        "postgresql": "to_char(time AT TIME ZONE 'UTC', FORM), to_char(first_time AT TIME ZONE 'UTC', FORM),"
        " to_char(last_time AT TIME ZONE 'UTC', FORM)".replace("FORM", '\'YYYY-MM-DD"T"HH24:MI:SS"Z"\''),
    }
    rows = []
    for where in (f"sqlite:///{tmp_path / 'history.db'}", url):
        filled(where, 1).close()
        opened = engine(where)
        with opened.connect() as db:
            select = f"SELECT {names}, {times[db.dialect.name]} FROM history_1h ORDER BY path, time_ns"
            rows.append([tuple(row) for row in db.exec_driver_sql(select)])
        opened.dispose()
    assert rows[0] == rows[1]
    assert len(rows[0]) > 10


def test_a_killed_writer_has_lost_nothing(url: str) -> None:
    chance = random.Random(2)
    for _ in range(3):
        command = [sys.executable, "-m", killed.__name__, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(chance.randint(2, 25))][-1]
            writer.kill()
        killed.check(url, said)


def test_what_is_damaged_is_found(url: str) -> None:
    filled(url, 1).close()
    opened = engine(url)
    assert list(findings(opened)) == []
    with opened.begin() as db:
        first = db.scalar(text("SELECT min(id) FROM chunk"))
        damage = "UPDATE chunk SET data = set_byte(data, 20, 255 - get_byte(data, 20)) WHERE id = :id"
        db.execute(text(damage), {"id": first})
    (found,) = findings(opened)
    assert "chunk is damaged" in found
    opened.dispose()


async def test_the_query_process_reads_and_cannot_write(url: str) -> None:
    history = History(engine(url))
    tag = Tag("acme/test/machine", "speed")
    (series,) = history.series([tag]).tolist()
    history.append([Batch.of([series], 1_000, np.array([1.5]))], Progress("gw1", "j", 1), 0)
    queries = Queries(history, url, inline)
    health = Health("queries")
    async with running(keep_running(queries.run, health, clock=Still(), chance=random.Random(1))):
        (found,) = (await queries.ask(past.readings, (tag.path, 0, 2_000), nobody_leaves)).about
        assert (found.time.tolist(), found.value.tolist()) == ([1_000], [1.5])
        with pytest.raises(ConnectionError, match="read-only"):
            await queries.ask(questions.writes, (), nobody_leaves)
    history.close()
