"""A small journal with a byte changed, and ended before it, byte by byte: it opens, tells no lie, and goes on."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.journal import JournalFile
from gateway.model import Catalog
from tests.unit.test_journal_salvage import FAR, TAGS, TRUTH, plain, record

STEP = 13
"""Some bytes, and of them each place of a number of two, three, four or eight bytes; all of them take three minutes."""
N = 4


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal with few records and small pages."""
    path = tmp_path_factory.mktemp("small") / "journal.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 512")
    db.execute("VACUUM")
    db.close()
    file = JournalFile(path)
    file.save(Catalog(TAGS[:4]))
    file.commit([record(n) for n in range(1, N + 1)], {"bus": 2})
    file.close()
    return path.read_bytes()


def saved(folder: Path, data: bytes) -> int:
    """How many records are there; whatever is there was written, and more can be."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "journal.db").write_bytes(data)
    file = JournalFile(folder / "journal.db")
    try:
        found = [plain(one) for one in file.read(0, FAR, 100)[0]]
        assert all(TRUTH[row[0]] == row for row in found)
        catalog = Catalog()
        file.load(catalog)
        file.save(Catalog(TAGS[:4]))
        following = file.last + 1
        assert following > max([row[0] for row in found], default=0)
        file.commit([record(following, file.boot)], {"bus": following})
        assert [one.position for one in file.read(following - 1, FAR, 100)[0]] == [following]
    finally:
        file.close()
    return len(found)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


def ended(data: bytes, at: int) -> bytes:
    return data[:at]


@pytest.mark.parametrize("change", [flipped, ended])
def test_a_damaged_file(small: bytes, tmp_path: Path, change: Callable[[bytes, int], bytes]) -> None:
    left = [saved(tmp_path / "x", change(small, at)) for at in range(0, len(small), STEP)]
    if change is flipped:
        assert sorted(left)[len(left) // 2] == N
