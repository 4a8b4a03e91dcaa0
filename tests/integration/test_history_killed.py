"""History whose process is killed at any moment: what is said to be stored is there, once, and whole."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from gateway.historian.backup import findings
from gateway.historian.chunk import Readings
from gateway.historian.history import History, Progress
from gateway.historian.repair import repair
from gateway.historian.rollup import HOUR_NS
from gateway.historian.schema import engine
from gateway.model import Batch, Tag

N = 100
DAY_NS = 24 * HOUR_NS
SECOND_NS = 1_000_000_000


def write_until_killed(url: str) -> None:
    """Go on where the one before ended: a hundred readings in each transaction, some of them late; compact often."""
    history = History(engine(url))
    history.series([Tag("plant/a", "x")])
    position = history.stored("g", "j")
    while True:
        position += 1
        place = position ^ 1  # every other one comes before the one that belongs before it
        number = np.arange(N * place, N * (place + 1))
        history.append([Batch.of([1] * N, number * SECOND_NS, number.astype(float))], Progress("g", "j", position), 0)
        if position % 3 == 0:
            history.compact(0)
        if position % 5 == 0:
            for _ in history.joins(0, 0, DAY_NS, 2 * DAY_NS):
                pass
        if position % 7 == 0:
            again = Readings(number * SECOND_NS, number.astype(float), np.zeros(N, np.uint32))
            repair(history, Tag("plant/a", "x"), again)
        print(position, flush=True)  # noqa: T201


def test_a_kill_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.db'}"
    chance = random.Random(1)
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-m", __name__, url], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(chance.randint(2, 25))][-1]
            writer.kill()
        check(url, said)


def check(url: str, said: int) -> None:
    """Everything up to a position that was said to be stored is there, in readings and roll-ups, once."""
    database = engine(url)
    history = History(database)
    stored = history.stored("g", "j")
    assert stored >= said
    wanted = sorted(x for position in range(1, stored + 1) for x in range(N * (position ^ 1), N * ((position ^ 1) + 1)))
    (found,) = history.readings("plant/a/x", 0, 2**62)
    assert found.value.tolist() == wanted
    assert sum(row["count"] for row in history.aggregate("plant/a/x", 0, 2**50, HOUR_NS).rows()) == len(wanted)
    assert list(findings(database)) == []
    history.close()


if __name__ == "__main__":
    write_until_killed(sys.argv[1])
