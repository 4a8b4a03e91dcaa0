"""A small ledger with a byte changed, or ended before it: it opens, tells no lie, and goes on.

Every byte was tried once (STEP 1, two minutes); the suite takes some.
"""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ledger.file import LedgerFile
from gateway.ledger.row import MINUTE_NS, Delivery, Gap, Pause, Row
from tests.unit.test_journal_every_byte import ended, flipped

STEP = 13
PAUSE = Pause(5 * MINUTE_NS, 6 * MINUTE_NS, "gateway stopped", {"press": [(1.0, 10)]})
POSITIONS = {"": 40, "bus": 30}
NEW = (9 * MINUTE_NS, "press")


def told(n: int) -> Row:
    return Row(600, 590, 5, 1, {"bus": Delivery(500, 3, 0.25, "away")}, {"timeout": Gap(5, 2.5, 1, "holding:7")})


ROWS = {(n * MINUTE_NS, device): told(n) for n in range(1, 4) for device in ("press", "größer")}
TRUTH = ROWS | {(minute, "press"): PAUSE.row(minute, "press") for minute in (5 * MINUTE_NS,)}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A ledger with few rows and small pages."""
    path = tmp_path_factory.mktemp("small") / "ledger.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 512")
    db.execute("VACUUM")
    db.close()
    file = LedgerFile(path)
    file.add("j", ROWS, POSITIONS, 7 * MINUTE_NS, pause=PAUSE)
    file.close()
    return path.read_bytes()


def left(folder: Path, data: bytes) -> int:
    """How many rows are there; whatever is there was written, and more can be."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "ledger.db").write_bytes(data)
    file = LedgerFile(folder / "ledger.db")
    try:
        assert (file.journal, file.alive_ns, file.reached) in (("j", 7 * MINUTE_NS, POSITIONS), ("", 0, {}))
        found = dict(file.rows("", 0, 100 * MINUTE_NS, (0, ""), 100))
        assert all(TRUTH[key] == row for key, row in found.items())
        file.add("j", {NEW: told(9)}, {"bus": 50}, 10 * MINUTE_NS)
        assert dict(file.rows("press", NEW[0], NEW[0] + 1, (0, ""), 100)) == {NEW: told(9)}
        file.forget(20 * MINUTE_NS)
    finally:
        file.close()
    return len(found)


@pytest.mark.parametrize("change", [flipped, ended])
def test_a_damaged_file(small: bytes, tmp_path: Path, change: Callable[[bytes, int], bytes]) -> None:
    rows = [left(tmp_path / "x", change(small, at)) for at in range(0, len(small), STEP)]
    if change is flipped:
        assert sorted(rows)[len(rows) // 2] == len(TRUTH)
