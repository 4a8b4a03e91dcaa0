"""A damaged journal file: whatever byte is another, wherever it ends, nothing that is read was never written."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.journal import JournalFile
from gateway.journal.salvage import salvage
from gateway.model import Batch, Catalog, Record, Tag
from tests.property.strategies import rows

FAR = 1 << 62
TAGS = [Tag(f"hall/press{n}", name) for n in range(3) for name in ("speed", "count", "state")]
N = 90
"""Records of the file: some of a few bytes, some that need several pages."""


def record(position: int, boot: int = 1) -> Record:
    n = 3 if position % 9 else 2500
    numbers = 3 * (position % 3) + np.arange(n, dtype=np.uint32) % 3
    batch = Batch.of(numbers, 1000 * position + np.arange(n), position + np.arange(n) / 7)
    return Record(position, position % 3, boot, (position + 2) // 3, position, (batch,))


def plain(found: Record) -> tuple[Any, ...]:
    return found.position, found.asset, found.boot, found.sequence, found.received, [rows(b) for b in found.batches]


TRUTH = {n: plain(record(n)) for n in range(1, N + 1)}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a journal as an orderly end leaves it, and one as a kill does, with its log."""
    folder = tmp_path_factory.mktemp("intact")
    for name in ("closed", "killed"):
        path = folder / name / "journal.db"
        file = JournalFile(path)
        file.save(Catalog(TAGS))
        for start in range(1, N + 1, 10):
            file.commit([record(n) for n in range(start, start + 10)], {"bus": start, "historian": start + 5})
        if name == "killed":
            shutil.copytree(path.parent, folder / "copy")
        file.close()
    shutil.rmtree(folder / "killed")
    (folder / "copy").rename(folder / "killed")
    return folder


@contextmanager
def damaged(source: Path, folder: Path, file: str, change: Callable[[bytearray], bytearray]) -> Iterator[JournalFile]:
    """The journal with one of its files changed, opened."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    path = folder / file
    path.write_bytes(change(bytearray(path.read_bytes())))
    opened = JournalFile(folder / "journal.db")
    try:
        yield opened
    finally:
        opened.close()


def assert_true(file: JournalFile) -> int:
    """Nothing that can be read was never written, and the gateway can go on; return how many records are there."""
    found = [plain(one) for one in file.read(0, FAR, 10_000)[0]]
    assert [row[0] for row in found] == sorted({row[0] for row in found})
    assert all(TRUTH[row[0]] == row for row in found)
    catalog = Catalog()
    file.load(catalog)
    known = [(tag.asset, tag.name) for tag in catalog.tags]
    lost = [("lost", f"tag-{n}") for n in range(len(known))]
    assert all(pair in ((TAGS[n].asset, TAGS[n].name), lost[n]) for n, pair in enumerate(known[: len(TAGS)]))
    assert all(file.positions().get(name, 0) <= most for name, most in (("bus", 81), ("historian", 86)))
    file.save(Catalog(TAGS))
    file.commit([record(file.last + 1, file.boot)], {"bus": file.last})
    assert file.last >= max([row[0] for row in found], default=0)
    assert file.boot > max([row[2] for row in found], default=0)
    return len(found)


def samples(size: int, n: int, seed: int) -> list[int]:
    """Places in a file: the beginning of each page, where most depends on it, and some by chance."""
    chance = random.Random(seed)
    heads = [page + chance.randrange(40) for page in range(0, size, 8192)]
    return sorted({*heads, *chance.sample(range(size), min(n, size))})


@pytest.mark.parametrize(
    ("source", "file"), [("closed", "journal.db"), ("killed", "journal.db"), ("killed", "journal.db-wal")]
)
def test_a_byte_that_is_another_costs_what_is_there_and_no_more(
    intact: Path, tmp_path: Path, source: str, file: str
) -> None:
    size = (intact / source / file).stat().st_size
    chance = random.Random(5)
    left = []
    for at in samples(size, 15, seed=1):
        bit = 1 << chance.randrange(8)

        def flip(data: bytearray, at: int = at, bit: int = bit) -> bytearray:
            data[at] ^= bit
            return data

        with damaged(intact / source, tmp_path / "x", file, flip) as journal:
            left.append(assert_true(journal))
    if file == "journal.db" and source == "closed":
        assert min(left) > N - 45  # the small records of a page, at the worst
        assert sorted(left)[len(left) // 2] >= N - 1


def cut_off(at: int, data: bytearray) -> bytearray:
    return data[:at]


@pytest.mark.parametrize(("source", "file"), [("closed", "journal.db"), ("killed", "journal.db-wal")])
def test_a_file_that_ends_too_early_keeps_what_is_before_its_end(
    intact: Path, tmp_path: Path, source: str, file: str
) -> None:
    size = (intact / source / file).stat().st_size
    for at in samples(size, 8, seed=2):
        with damaged(intact / source, tmp_path / "x", file, partial(cut_off, at)) as journal:
            assert_true(journal)


def test_a_file_without_its_first_page_is_saved_whole(
    intact: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    identity = salvage(intact / "closed" / "journal.db").journal
    assert identity is not None
    with damaged(intact / "closed", tmp_path / "x", "journal.db", lambda data: bytearray(100) + data[100:]) as journal:
        assert [plain(one) for one in journal.read(0, FAR, 10_000)[0]] == list(TRUTH.values())
        assert (journal.id, journal.boot) == (identity[0], identity[1] + 1)
        assert journal.positions() == {"bus": 81, "historian": 86}
        assert journal.sequences() == {0: 30, 1: 30, 2: 30}
        assert journal.last > N + 1_000_000
        assert journal.find(1, 5, 7, 10)[0].sequence == 5
        catalog = Catalog()
        journal.load(catalog)
        assert [tag.path for tag in catalog.tags] == [tag.path for tag in TAGS]
    assert f"{N} records of it are saved in a new one" in caplog.text
    aside = tmp_path / "x" / "journal.db.damaged-1"
    assert aside.exists()


def test_what_is_in_the_log_only_is_saved_too(intact: Path, tmp_path: Path) -> None:
    with damaged(
        intact / "killed", tmp_path / "x", "journal.db", lambda data: bytearray(b"no database") * 99
    ) as journal:
        assert assert_true(journal) > N - 10


def test_readings_of_a_tag_whose_name_is_lost_go_to_no_other(intact: Path, tmp_path: Path) -> None:
    def rename(data: bytearray) -> bytearray:
        at = data.index(b"hall/press1count") + 12
        data[at] ^= 2
        return data

    with damaged(intact / "closed", tmp_path / "x", "journal.db", rename) as journal:
        catalog = Catalog()
        journal.load(catalog)
        assert catalog.tags[4].path == "lost/tag-4"
        assert "hall/press1/count" not in [tag.path for tag in catalog.tags]
        assert assert_true(journal) == N
