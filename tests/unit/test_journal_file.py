"""The journal on disk: records, numbers and cursors survive; damage costs what is damaged and no more."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.journal import JournalFile
from gateway.journal.seal import seal
from gateway.model import Batch, Catalog, Record, Tag
from tests.property.strategies import rows

FAR = 1 << 62


def record(position: int, *, asset: int = 0, boot: int = 1, received: int = 0) -> Record:
    return Record(position, asset, boot, position, received, (Batch.of([0, 1], position, [position * 0.1, -0.0]),))


@contextmanager
def opened(path: Path) -> Iterator[JournalFile]:
    file = JournalFile(path)
    try:
        yield file
    finally:
        file.close()


def positions(file: JournalFile, after: int = 0, upto: int = FAR, records_max: int = 1000) -> list[int]:
    return [record.position for record in file.read(after, upto, records_max)[0]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "journal.db"


def test_what_is_read_is_what_was_committed(path: Path) -> None:
    with opened(path) as file:
        written = [record(1, received=17), record(2, asset=3, boot=5)]
        file.commit(written, {})
        read, reached = file.read(0, 2, 10)
    assert reached == 2
    for found, given in zip(read, written, strict=True):
        assert (found.position, found.asset, found.boot, found.sequence, found.received) == (
            given.position, given.asset, given.boot, given.sequence, given.received,
        )  # fmt: skip
        assert [rows(batch) for batch in found.batches] == [rows(batch) for batch in given.batches]


def test_reading_has_a_beginning_an_end_and_a_size(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(n) for n in range(1, 11)], {})
        assert positions(file, after=3, upto=7) == [4, 5, 6, 7]
        assert file.read(3, 7, 10)[1] == 7
        found, reached = file.read(3, 7, 2)
        assert ([r.position for r in found], reached) == ([4, 5], 5)
        assert (positions(file, after=10), file.read(10, 12, 5)[1]) == ([], 12)


def test_the_boot_counts_and_the_identity_stays(path: Path) -> None:
    seen = []
    for _ in range(3):
        with opened(path) as file:
            seen.append((file.id, file.boot))
    assert [boot for _, boot in seen] == [1, 2, 3]
    assert len({identity for identity, _ in seen}) == 1


def test_two_journals_have_different_identities(tmp_path: Path) -> None:
    with opened(tmp_path / "one.db") as one, opened(tmp_path / "other.db") as other:
        assert one.id != other.id


def test_records_sequences_and_cursors_are_there_after_reopening(path: Path) -> None:
    catalog = Catalog([Tag("a", "x"), Tag("b", "x")])
    with opened(path) as file:
        file.save(catalog)
        file.commit([record(1), record(2, asset=1), record(3)], {"bus": 2, "historian": 1})
    with opened(path) as file:
        assert positions(file) == [1, 2, 3]
        assert file.sequences() == {0: 3, 1: 2}
        assert file.positions() == {"bus": 2, "historian": 1}
        assert file.last == 3


def test_a_cursor_keeps_its_newest_position(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(1)], {"bus": 1})
        file.commit([], {"bus": 7, "other": 2})
        assert file.positions() == {"bus": 7, "other": 2}


def test_a_commit_is_all_or_nothing(path: Path) -> None:
    with opened(path) as file:
        file.save(Catalog([Tag("a", "x")]))
        file.commit([record(1)], {"bus": 0})
        with pytest.raises(sqlite3.Error):
            file.commit([record(2), record(1)], {"bus": 9})
        assert positions(file) == [1]
        assert (file.positions(), file.sequences()) == ({"bus": 0}, {0: 1})


def test_numbers_of_tags_and_assets_are_for_ever(path: Path) -> None:
    with opened(path) as file:
        file.save(Catalog([Tag("a", "x"), Tag("b", "y/z"), Tag("a", "w")]))
    with opened(path) as file:
        catalog = Catalog()
        file.load(catalog)
        assert [catalog.number(p) for p in ("a/x", "b/y/z", "a/w")] == [0, 1, 2]
        assert (catalog.assets, list(catalog)) == (["a", "b"], [])
        catalog.add(Tag("c", "x"))
        catalog.add(Tag("a", "x"))
        file.save(catalog)
    with opened(path) as file:
        again = Catalog()
        file.load(again)
        assert [tag.path for tag in again.tags] == ["a/x", "b/y/z", "a/w", "c/x"]
        assert again.assets == ["a", "b", "c"]


def test_saving_numbers_does_not_reset_sequences(path: Path) -> None:
    catalog = Catalog([Tag("a", "x")])
    with opened(path) as file:
        file.save(catalog)
        file.commit([record(1)], {})
        file.save(catalog)
        assert file.sequences() == {0: 1}


def test_trimming_forgets_what_is_confirmed_and_old(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(n, received=n) for n in range(1, 11)], {})
        assert file.trim(upto=4, received_before=FAR) == 4
        assert file.trim(upto=8, received_before=7) == 2
        assert file.trim(upto=8, received_before=7) == 0
        assert (positions(file), file.oldest()) == ([7, 8, 9, 10], 7)


def test_a_trimmed_position_is_never_given_again(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(1), record(2)], {})
        file.trim(2, FAR)
        assert positions(file) == []
    with opened(path) as file:
        assert file.last == 2
        assert file.oldest() == 3


def test_oldest_is_the_next_position_when_nothing_is_left(path: Path) -> None:
    with opened(path) as file:
        assert file.oldest() == 1
        file.commit([record(1), record(2)], {})
        assert file.oldest() == 1
        file.trim(2, FAR)
        assert file.oldest() == 3


def test_the_oldest_records_go_first_when_space_is_short(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(n) for n in range(1, 6_004)], {})
        row = file.drop_oldest(1, 0)
        assert [found.position for found in row] == [1]
        assert positions(file, records_max=9_000) == list(range(2, 6_004))
        assert [found.position for found in file.drop_oldest(1 << 30, 5_000)] == [5_001]  # a few thousand at once
        assert positions(file, records_max=9_000) == list(range(5_002, 6_004))
        assert len(file.drop_oldest(1 << 30, 0)) == 1_002
        assert file.drop_oldest(1 << 30, 0) == []


def test_what_is_too_old_goes_whoever_wants_it(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(n, received=n) for n in range(1, 8)], {})
        assert [found.position for found in file.drop_old(received_before=5, wanted_after=2)] == [3, 4]
        assert positions(file) == [5, 6, 7]


def test_thinning_leaves_stretches_and_frees_their_pages(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(n) for n in range(1, 5_001)], {})
        full = file.size_bytes()
        gone = [found.position for found in file.thin_out(1 << 30, 0)]
        left = positions(file, records_max=9_000)
        assert sorted(gone + left) == list(range(1, 5_001))
        stretches = np.flatnonzero(np.diff(left) > 1)
        assert len(stretches) >= 2
        assert 0.4 < len(gone) / 5_000 < 0.6
        assert file.size_bytes() < 0.75 * full
        again = file.thin_out(1 << 30, 0)
        assert 0.3 * len(left) < len(again) < 0.7 * len(left)


def test_thinning_takes_first_what_all_have_read_and_no_more_than_it_must(path: Path) -> None:
    with opened(path) as file:
        file.commit([record(n) for n in range(1, 3_001)], {})
        assert file.thin_out(1_000, 2_000) == []
        oldest = file.oldest()
        assert 1 < oldest < 100
        assert len(positions(file, records_max=9_000)) == 3_001 - oldest
        gone = file.thin_out(1 << 30, 2_000)
        assert gone
        assert positions(file, records_max=9_000)[0] > 2_000


def test_space_that_was_freed_does_not_count(path: Path) -> None:
    with opened(path) as file:
        empty = file.size_bytes()
        file.commit([record(n) for n in range(1, 3_000)], {})
        full = file.size_bytes()
        file.trim(3_000, FAR)
        assert file.size_bytes() < empty + (full - empty) // 10
        assert full > empty + 100_000


def test_a_second_gateway_on_the_same_file_is_refused(path: Path) -> None:
    with opened(path), pytest.raises(OSError, match="is another gateway running on this folder"):
        JournalFile(path)


def test_a_path_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        JournalFile(tmp_path / "file" / "journal.db")
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(OSError, match="cannot be opened"):
        JournalFile(tmp_path / "journal.db")


def test_a_journal_of_another_format_is_refused(path: Path) -> None:
    with opened(path):
        pass
    with sqlite3.connect(path) as db:
        (identity,) = db.execute("SELECT id FROM journal").fetchone()
        db.execute("UPDATE journal SET format = 3, seal = ?", (seal("journal", identity, 3, 1),))
    db.close()
    with pytest.raises(OSError, match="format 3, this program reads 2"):
        JournalFile(path)


# --- damage -------------------------------------------------------------------------------


def filled(path: Path, n: int = 400) -> int:
    """Write a journal of many pages; return how many pages of 8192 bytes it has."""
    with opened(path) as file:
        file.save(Catalog([Tag("a", "x"), Tag("b", "x")]))
        file.commit([record(position) for position in range(1, n + 1)], {"bus": 3})
    return path.stat().st_size // 8192


def zeros(page: bytes) -> bytes:
    return bytes(len(page))


def noise(page: bytes) -> bytes:
    return bytes((7 * i + 13 * byte + 101) % 256 for i, byte in enumerate(page))


def flipped(page: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in page)


@pytest.mark.parametrize("damage", [zeros, noise, flipped])
def test_the_gateway_comes_up_whichever_page_is_damaged(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Set aside and begun anew, or good enough to be read and written to; nothing in between."""
    pages = filled(path)
    intact = path.read_bytes()
    assert pages >= 8
    for page in range(pages):
        for old in path.parent.iterdir():
            old.unlink()
        at = slice(8192 * page, 8192 * (page + 1))
        path.write_bytes(intact[: at.start] + damage(intact[at]) + intact[at.stop :])
        with opened(path) as file:
            catalog = Catalog()
            file.load(catalog)
            file.save(Catalog([Tag("a", "x")]))
            assert positions(file) == sorted(set(positions(file)))
            file.commit([record(file.last + 1, boot=file.boot)], {"bus": file.last})
            assert file.last + 1 in positions(file)
            file.trim(file.last, FAR)
            file.sync()
            file.sequences()


@pytest.mark.parametrize("content", [b"this is no database" * 1000, b"\0" * 20_000])
def test_a_file_that_is_no_database_is_set_aside(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with opened(path) as file:
        assert (file.boot, positions(file)) == (1, [])
        file.commit([record(1)], {})
    aside = path.with_name("journal.db.damaged-1")
    assert aside.read_bytes() == content
    assert f"set aside as {aside.name}" in caplog.text
    with opened(path) as file:
        assert positions(file) == [1]


def test_nothing_that_was_set_aside_is_overwritten(path: Path) -> None:
    path.parent.mkdir()
    for n in (1, 2):
        path.write_bytes(b"this is no database" * 1000 + bytes((n,)))
        with opened(path):
            pass
        assert path.with_name(f"journal.db.damaged-{n}").read_bytes()[-1] == n


def test_a_damaged_record_is_skipped_and_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(path) as file:
        file.commit([record(n) for n in range(1, 6)], {})
    with sqlite3.connect(path) as db:
        (data,) = db.execute("SELECT data FROM record WHERE position = 3").fetchone()
        db.execute("UPDATE record SET data = ? WHERE position = 3", (data[:-1] + bytes((data[-1] ^ 1,)),))
    db.close()
    with opened(path) as file:
        assert positions(file) == [1, 2, 4, 5]
        assert positions(file) == [1, 2, 4, 5]
        assert file.damaged == {3}
        assert file.read(2, 3, 5) == ([], 3)
    assert caplog.text.count("record 3 of boot 1 is lost") == 1
