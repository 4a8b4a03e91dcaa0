"""The audit trail: chained, torn, edited, full, stalled, flooded; and read by pages."""

import asyncio
import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.asking import Asker, served
from gateway.audit import AuditFile, AuditLog, Entry
from gateway.audit.chain import GENESIS, Broken, fields, read, sealed, stamp
from gateway.audit.file import SEGMENTS, segments
from gateway.audit.flood import ALIKE_MAX, ALL_MAX, Flood
from gateway.audit.log import WAITING_MAX
from gateway.audit.verify import verify
from gateway.cli import main
from gateway.supervise import running
from tests.drive import Still
from tests.inline import inline

TIME = "2026-01-05T06:00:00.000000Z"
SIZE = 1 << 20


def told(n: int, **more: Any) -> list[dict[str, Any]]:
    return [fields(Entry("write", f"a/b/{i}", "done", who="mes", **more), TIME) for i in range(n)]


def opened(folder: Path, size: int = SIZE) -> AuditFile:
    return AuditFile(folder, size, Still())


def written(folder: Path, n: int = 5) -> Path:
    """A trail of n records that was closed; its newest segment."""
    file = opened(folder)
    file.append(told(n))
    file.close()
    return segments(folder)[-1]


def actions(folder: Path) -> list[str]:
    return [json.loads(text)["action"] for path in segments(folder) for text in path.read_bytes().splitlines()]


# --- a record -----------------------------------------------------------------------------


def test_a_record_can_be_checked_by_anybody_with_sha256() -> None:
    first, hash = sealed(1, {"who": "mes"}, GENESIS)
    second, _ = sealed(2, {"who": "erp"}, hash)
    for text in (first, second):
        body, _, tail = text.decode().rpartition(',"hash":"')
        assert tail == hashlib.sha256((body + "}").encode()).hexdigest() + '"}\n'
    assert json.loads(second)["prev"] == json.loads(first)["hash"]


@given(
    st.builds(
        Entry, st.text(), st.text(), st.just("done"), st.text(), st.text(), st.text(), st.text(),
        st.none() | st.integers() | st.floats() | st.text() | st.booleans() | st.dictionaries(st.text(), st.integers()),
    )
)  # fmt: skip
@settings(deadline=None)
def test_whatever_is_told_is_one_line_that_reads_back(entry: Entry) -> None:
    text, hash = sealed(7, fields(entry, TIME), GENESIS)
    assert text.count(b"\n") == 1
    assert len(text) < 5_000
    record = read(text[:-1])
    assert (record.n, record.hash) == (7, hash)
    assert record.fields["object"].isprintable() or record.fields["object"] == ""


def test_the_time_is_utc_with_microseconds() -> None:
    assert stamp(1_767_592_800_123_456_789) == "2026-01-05T06:00:00.123456Z"


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None)
def test_no_byte_of_a_record_can_be_another(at: int, flip: int) -> None:
    text = bytearray(sealed(1, told(1)[0], GENESIS)[0][:-1])
    text[at % len(text)] ^= flip
    with pytest.raises(Broken):
        read(bytes(text))


# --- on disk --------------------------------------------------------------------------------


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path)
    verdict = verify(tmp_path)
    assert (verdict.wrong, verdict.remarks, verdict.records, verdict.n) == ([], [], 10, 10)


def test_what_a_crash_tore_off_is_cut_off_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for torn in (whole[:-1], whole[:-200], whole + b"\0" * 4096, whole + b'{"n":6'):
        path.write_bytes(torn)
        assert verify(tmp_path).wrong == []
        opened(tmp_path).close()
        assert verify(tmp_path).wrong == []
        assert actions(tmp_path)[-1] == "audit.torn"
        assert "cut off" in caplog.text
        path.write_bytes(whole)


Edit = Callable[[list[bytes]], object]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines.__setitem__(2, lines[2].replace(b"mes", b"erp")), ":3: its hash is not that of its text"),
        (lambda lines: lines.pop(2), ":3: record 4 follows 2"),
        (lambda lines: lines.insert(2, lines.pop(3)), ":3: record 4 follows 2"),
        (lambda lines: lines.insert(2, lines[2]), ":4: record 3 follows 3"),
        (lambda lines: lines.pop(0), "the chain begins with record 2, and no record says"),
        (lambda lines: lines.__setitem__(2, sealed(3, told(1)[0], GENESIS)[0][:-1]), ":3: record 3 does not seal"),
    ],
)
def test_whatever_is_edited_is_found_and_named(
    tmp_path: Path, edit: Edit, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines()
    edit(lines)
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert main(["audit", "verify", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err


def test_a_chain_written_anew_is_found_by_a_hash_that_was_noted(tmp_path: Path) -> None:
    file = opened(tmp_path / "honest")
    file.append(told(5))
    file.close()
    written(tmp_path / "forged", 4)
    assert verify(tmp_path / "honest", file.hash).wrong == []
    assert verify(tmp_path / "forged").wrong == []
    assert "no record has the hash" in verify(tmp_path / "forged", file.hash).wrong[0]


def test_behind_a_damaged_end_a_new_file_is_begun_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path)
    damaged = path.read_bytes()[:-10] + b"XXXXXXXXX\n"
    path.write_bytes(damaged)
    written(tmp_path)
    assert path.read_bytes() == damaged
    assert json.loads(segments(tmp_path)[1].read_bytes().splitlines()[0])["action"] == "audit.damaged"
    assert [what.split(" ")[0] for what in verify(tmp_path).wrong] == [f"{path.name}:5:"]


def test_segments_are_rotated_and_the_oldest_are_deleted_with_a_record(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for _ in range(200):
        file.append(told(30, detail="x" * 300))
    file.close()
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= SIZE + SIZE // SEGMENTS
    assert file.dropped > 1000
    verdict = verify(tmp_path)
    assert (verdict.wrong, verdict.n) == ([], file.n)
    segments(tmp_path)[0].unlink()
    assert "no record says" in verify(tmp_path).wrong[0]


def test_a_missing_segment_is_found(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for _ in range(10):
        file.append(told(200, detail="x" * 300))
    file.close()
    segments(tmp_path)[1].unlink()
    assert any("what was between them is missing" in what for what in verify(tmp_path).wrong)


def test_a_rotation_that_a_crash_broke_off_goes_on(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "audit-000000000006.jsonl").touch()
    written(tmp_path)
    assert verify(tmp_path).wrong == []
    assert verify(tmp_path).n == 10


def test_pages_have_every_record_once_newest_first(tmp_path: Path) -> None:
    file = opened(tmp_path)
    for _ in range(10):
        file.append(told(100, detail="x" * 300))
    found: list[int] = []
    before: int | None = file.n + 1
    while before is not None:
        page, before = file.page(before, 37, lambda record: record.n % 3 == 0)
        found += [record.n for record in page]
    assert found == [n for n in range(1000, 0, -1) if n % 3 == 0]
    file.close()


# --- without waiting ------------------------------------------------------------------------


class Stuck:
    """An Offload whose disk does not answer until it is let go."""

    def __init__(self) -> None:
        self.free = asyncio.Event()

    async def __call__(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        await self.free.wait()
        return work(*args, **kwargs)


async def test_a_stalled_disk_holds_nobody_up_and_what_is_lost_is_told(tmp_path: Path) -> None:
    stuck, file = Stuck(), opened(tmp_path)
    log = AuditLog(file, stuck, Still())
    async with running(log.run(lambda: None)):
        for i in range(WAITING_MAX + 7):
            log.add(Entry("write", str(i), "done"))
        assert log.counts()["entries_lost"] == 7
        stuck.free.set()
        await log.page(None, 1)
        log.add(Entry("write", "after", "done"))
        page, _ = await log.page(None, 2)
        assert [record.fields["action"] for record in page] == ["write", "audit.lost"]
        assert page[1].fields["detail"].startswith("7 entries are missing")
    file.close()
    assert verify(tmp_path).wrong == []


async def test_a_full_disk_is_an_error_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write = opened(tmp_path), os.write
    log = AuditLog(file, inline, Still())
    log.add(Entry("write", "a", "done"))

    def full(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            await log.run(lambda: None)
    page, _ = await log.page(None, 10)
    assert [record.fields["object"] for record in page] == ["a"]
    file.close()
    assert verify(tmp_path).wrong == []


async def test_what_waits_is_written_when_it_is_stopped(tmp_path: Path) -> None:
    file = opened(tmp_path)
    log = AuditLog(file, inline, Still())
    up = asyncio.Event()
    async with running(log.run(up.set)):
        await up.wait()
        for i in range(100):
            log.often(Entry("401", str(i), "refused"))
    file.close()
    assert actions(tmp_path) == ["401"] * (ALIKE_MAX + 1)
    assert f"{100 - ALIKE_MAX} more like it" in segments(tmp_path)[0].read_text(encoding="utf-8")


def test_a_flood_does_not_push_out_what_matters() -> None:
    flood = Flood()
    kept = sum(flood.admits(Entry("401", "/", "refused", address=f"10.0.{i % 256}.{i // 256}")) for i in range(10_000))
    assert kept == ALL_MAX
    assert flood.over(30.0) == []
    said = flood.over(61.0)
    assert [entry.detail for entry in said] == [f"{10_000 - ALL_MAX} more like it within a minute"]
    assert flood.admits(Entry("401", "/", "refused"))


async def test_who_asks_is_put_in(tmp_path: Path) -> None:
    file = opened(tmp_path)
    log = AuditLog(file, inline, Still())
    asks = Asker("mes", "token", "10.0.0.7")
    with served(asks):
        log.add(Entry("write", "a", "done"))
    assert asks.told
    log.add(Entry("write", "b", "done", who="MQTT"))
    page, _ = await log.page(None, 10)
    found = [tuple(record.fields[key] for key in ("who", "how", "address")) for record in page]
    assert found == [("MQTT", "", ""), ("mes", "token", "10.0.0.7")]
    file.close()


def test_a_trail_that_is_whole_says_up_to_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path)
    assert main(["audit", "verify", str(tmp_path)]) == 0
    assert "5 records, the last is 5 with hash" in capsys.readouterr().out
    assert main(["audit", "print", str(tmp_path)]) == 0
    assert [json.loads(text)["n"] for text in capsys.readouterr().out.splitlines()] == [1, 2, 3, 4, 5]
    assert main(["audit", "verify", str(tmp_path / "nowhere.yaml")]) == 1


def test_where_the_chain_is_stands_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.audit")
    written(tmp_path)
    caplog.clear()
    file = opened(tmp_path)
    assert caplog.messages == [f"audit trail: goes on behind record 5 with hash {file.hash}"]
    file.close()
