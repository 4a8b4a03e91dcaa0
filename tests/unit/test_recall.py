"""Signals go on after a restart where they stood: nothing is taught or told twice, nothing left out."""

import asyncio
import shutil
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.derive import Derived, Deriving
from gateway.journal import Journal, JournalFile
from gateway.model import Batch, Catalog, Tag
from gateway.recall import Built, Kept, NoMemory, packed
from tests.inline import inline
from tests.simulation.loop import LoopClock, simulate

CATALOG = Catalog([Tag("a", name) for name in ("x", "sum", "sum_of_sums")])


class Sums:
    """A Signal: the sum of all readings so far, which is wrong for ever if one is missed or taken twice."""

    def __init__(self, watched: int, output: int) -> None:
        self.inputs = np.array([watched], np.uint32)
        self._output = output
        self._sum = 0.0

    def update(self, batch: Batch) -> Sequence[Batch]:
        sums = self._sum + np.cumsum(batch.value)
        self._sum = float(sums[-1])
        return [Batch.of([self._output] * len(batch), batch.time, sums)]


def chain(identity: str = "sums") -> dict[str, Built]:
    return {f"sum{n}": Built(Sums(n, n + 1), identity if n else "sums", np.array([n + 1], np.uint32)) for n in range(2)}


async def life(path: Path, values: Sequence[float], *, killed_after: int | None = None, identity: str = "sums") -> int:
    """Append values, one each two seconds. Killed is: what is on the disk then is all that there will be."""
    file = JournalFile(path)
    file.save(CATALOG)
    journal = Journal(file, inline, LoopClock())

    def emit(*batches: Batch) -> None:
        journal.append(0, [batch for batch in batches if len(batch)])

    derived = Derived(chain(identity), len(CATALOG))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        deriving = Deriving(derived, journal, emit, inline)
        task = tasks.create_task(deriving.run(lambda: None))
        for n, value in enumerate(values):
            if n == killed_after:
                for end in ("", "-wal"):
                    shutil.copyfile(f"{path}{end}", f"{path}.remains{end}")
            journal.append(0, [Batch.of([0], n, [value])])
            await asyncio.sleep(2.0)
        task.cancel()
        journal.close()
    await journal.finish()
    file.close()
    return deriving.skipped


def lived(path: Path, values: Sequence[float], *, killed_after: int | None = None, identity: str = "sums") -> int:
    """Live; return how many records the signals missed."""
    skipped = simulate(life(path, values, killed_after=killed_after, identity=identity))
    if killed_after is not None:
        for end in ("", "-wal"):
            Path(f"{path}{end}").unlink(missing_ok=True)
            Path(f"{path}.remains{end}").rename(f"{path}{end}")
    return skipped


def told(path: Path) -> list[list[float]]:
    """All that the journal has, by tag."""
    file = JournalFile(path)
    records, _ = file.read(0, file.last, 10_000)
    rows = [row for r in records for b in r.batches for row in zip(b.tag.tolist(), b.value.tolist(), strict=True)]
    file.close()
    return [[value for tag, value in rows if tag == number] for number in range(len(CATALOG))]


@pytest.mark.parametrize("killed_after", [None, 1, 20, 31, 45, 59])
def test_a_restart_is_not_to_be_seen_in_what_signals_tell(tmp_path: Path, killed_after: int | None) -> None:
    path = tmp_path / "journal.db"
    values = np.arange(1.0, 61.0)
    lived(path, values.tolist(), killed_after=killed_after)
    lived(path, [1000.0, 2000.0])
    given, sums, sums_of_sums = told(path)
    assert given == [*values[:killed_after].tolist(), 1000.0, 2000.0]
    assert sums == np.cumsum(given).tolist()
    assert sums_of_sums == np.cumsum(sums).tolist()


def test_two_kills_in_a_row_are_not_to_be_seen_either(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for _ in range(4):
        lived(path, np.arange(1.0, 41.0).tolist(), killed_after=35)
    given, sums, _ = told(path)
    assert (len(given), sums) == (4 * 35, np.cumsum(given).tolist())


def test_other_options_are_another_signal_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.db"
    lived(path, [1.0, 2.0])
    lived(path, [4.0], identity="other sums")
    assert told(path) == [[1.0, 2.0, 4.0], [1.0, 3.0, 7.0], [1.0, 4.0, 7.0]]
    assert [line for line in caplog.messages if "begins anew" in line] == [
        "signal sum1 begins anew, what it had learned is set aside: its options are others now"
    ]


def test_damage_is_said_and_costs_what_was_learned_and_not_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.db"
    lived(path, [1.0, 2.0])
    file = JournalFile(path)
    with file._db:
        file._db.execute("UPDATE told SET data = zeroblob(100)")
    file.close()
    lived(path, [4.0])
    assert told(path)[1] == [1.0, 3.0, 4.0]
    assert any("what was kept of /signals is damaged" in line for line in caplog.messages)


def test_records_that_the_journal_has_dropped_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    lived(path, [1.0] * 40, killed_after=39)
    file = JournalFile(path)
    with file._db:
        file._db.execute("DELETE FROM record WHERE position BETWEEN 95 AND 100")
    file.close()
    assert lived(path, [1.0]) == 6


# --- one signal ---------------------------------------------------------------------------


class Everything:
    """A Signal that remembers things of all kinds."""

    def __init__(self) -> None:
        self.inputs = np.array([0], np.uint32)
        shared = np.arange(3.0)
        self.rows = {1: [(shared, "text")], (2, None): [(np.float64(0.1), True)]}
        self.same = shared
        self.odd = (np.nan, np.inf, -0.0, 1e-323, 2**80)
        self.floats = [0.1, float("nan")]
        self.places = {3, 1}
        self.last = deque([1, 2, 3], 3)
        self.function = len

    def update(self, batch: Batch) -> Sequence[Batch]:
        return ()


def recalled(data: bytes, signal: Any = None, identity: str = "") -> Any:
    return Kept(data).signal("a", built(signal or Everything(), identity))


def built(signal: Any, identity: str = "") -> Built:
    return Built(signal, identity, np.empty(0, np.uint32))


def test_all_that_is_plain_comes_back_bit_for_bit() -> None:
    before = Everything()
    before.same[1], before.odd, before.function = 7.5, (*before.odd, "more"), max  # type: ignore[assignment]  # another function
    after = recalled(packed({"a": built(before)}, 1, 2))
    assert repr(vars(after)) == repr(vars(before) | {"function": len})
    assert after.rows[1][0][0] is after.same, "one array stays one"
    assert after.last.maxlen == 3
    assert np.array(after.floats).tobytes() == np.array(before.floats).tobytes()
    assert type(after.rows[2, None][0][0]) is np.float64


def test_every_byte_that_is_damaged_is_seen_or_does_not_matter() -> None:
    before = Everything()
    data = packed({"a": built(before)}, 1, 2)
    for place in range(0, len(data), 61):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        try:
            found = recalled(bytes(damaged))
        except NoMemory:
            continue
        assert found is None or repr(vars(found)) == repr(vars(before))


def test_what_another_version_kept_is_left() -> None:
    class Other(Everything):
        def __init__(self) -> None:
            super().__init__()
            self.more = 1

    data = packed({"a": built(Everything())}, 1, 2)
    for other, identity in ((Other(), ""), (Everything(), "other")):
        with pytest.raises(NoMemory):
            recalled(data, other, identity)


def test_what_is_not_plain_is_refused_when_it_is_packed() -> None:
    odd = Everything()
    odd.same = np.array([object()])
    with pytest.raises(TypeError):
        packed({"a": built(odd)}, 1, 2)
