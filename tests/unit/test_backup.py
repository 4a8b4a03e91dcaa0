"""Backup of a history that is being written, and the check of a copy: whole, or what is damaged is named."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from gateway.cli import main
from gateway.historian.backup import findings
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.journal import JournalFile
from gateway.model import Batch, Tag

PLANT = """
site: {enterprise: acme, site: test}
data_dir: FOLDER
devices: {}
"""


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A history that is open, with readings in chunks and in the tail."""
    (tmp_path / "plant.yaml").write_text(PLANT.replace("FOLDER", str(tmp_path)))
    one = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    one.series([Tag("plant/a", "x"), Tag("plant/a", "y")])
    for start in (0, 100, 200):
        times = np.arange(start, start + 10)
        one.append([Batch.of([1] * 10 + [2] * 10, np.tile(times, 2), np.arange(20.0))], Progress("g", "j", start), 0)
        if start < 200:
            one.compact(0)
    yield one
    one.close()


def values(history: History) -> list[float]:
    return [x for part in history.readings("plant/a/x", 0, 1000) for x in part.value.tolist()]


def test_a_copy_has_what_there_was(history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.db"
    assert main(["backup", str(tmp_path / "plant.yaml"), str(copy)]) == 0
    assert "copy.db: whole" in capsys.readouterr().out
    history.append([Batch.of([1], 900, [7.0])], Progress("g", "j", 999), 0)
    restored = History(engine(f"sqlite:///{copy}"))
    assert values(restored) == values(history)[:-1]
    assert restored.stored("g", "j") == 200
    restored.close()
    assert main(["backup", str(tmp_path / "plant.yaml"), str(copy)]) == 1
    assert f"{copy} exists: name a file that does not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (
            "UPDATE chunk SET data = CAST(substr(data, 1, 20) || 'x' AS BLOB) WHERE id = 1",
            "chunk 1 of series 1",
        ),
        ("UPDATE times SET data = x'00' WHERE id = 1", "chunk 1 of series 1: chunk is damaged"),
        ("DELETE FROM times WHERE id = 1", "chunk 1 of series 1: its times are gone"),
        ("UPDATE chunk SET n = 9 WHERE id = 2", "chunk 2 of series 2: it is not what its row says"),
        ("UPDATE chunk SET last_time = 150 WHERE id = 1", "begins before the one before it ends"),
        ("UPDATE tail SET data = x'0102'", "of the tail"),
    ],
)
def test_damage_is_named(history: History, tmp_path: Path, damage: str, finding: str) -> None:
    opened = engine(f"sqlite:///{tmp_path / 'history.db'}")
    assert list(findings(opened)) == []
    with opened.begin() as db:
        db.execute(text(damage))
    assert any(finding in one for one in findings(opened))
    opened.dispose()
    assert main(["backup", "--check", str(tmp_path / "history.db")]) == 1


def test_what_cannot_be_copied_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant = tmp_path / "plant.yaml"
    plant.write_text(PLANT.replace("FOLDER", str(tmp_path)))
    assert main(["backup", str(plant), str(tmp_path / "copy.db")]) == 1
    assert "history.db does not exist" in capsys.readouterr().err
    plant.write_text(PLANT.replace("FOLDER", str(tmp_path)) + "historian: {url: 'postgresql://u@h/d'}\n")
    assert main(["backup", str(plant), str(tmp_path / "copy.db")]) == 1
    assert "pg_dump" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "copy.db")]) == 2
    assert main(["backup", "--check", str(tmp_path / "copy.db")]) == 1
    assert list(tmp_path.glob("copy*")) == []
    (tmp_path / "copy.db").write_text("this is no database, but long enough to be one" * 99)
    assert main(["backup", "--check", str(tmp_path / "copy.db")]) == 1
    assert "copy.db: file is not a database" in capsys.readouterr().err


def test_a_copy_is_put_back_and_the_journal_gives_what_came_since(history: History, tmp_path: Path) -> None:
    """History has positions 1 to 3 of the journal, the copy 1; so 2 and 3 are to be stored again."""
    plant, copy = str(tmp_path / "plant.yaml"), tmp_path / "copy.db"
    journal = JournalFile(tmp_path / "journal.db")
    boot = journal.boot << 40
    history.append([Batch.of([1], 900, [7.0])], Progress("gw1", journal.id, boot | 1), 0)
    assert main(["backup", plant, str(copy)]) == 0
    history.append([Batch.of([1], 901, [8.0])], Progress("gw1", journal.id, boot | 3), 0)
    journal.commit([], {"bus": 3, "historian": 3})
    history.close()
    assert main(["restore", plant, str(copy)]) == 1  # the journal is somebody's
    journal.close()
    assert main(["restore", plant, str(copy)]) == 0
    journal = JournalFile(tmp_path / "journal.db")
    assert journal.positions() == {"bus": 3, "historian": 1}
    journal.close()
    for name, newest in (("history.db", 7.0), ("history.db.replaced-1", 8.0)):
        found = History(engine(f"sqlite:///{tmp_path / name}"))
        assert values(found)[-1] == newest
        found.close()
    assert copy.exists()


def test_a_damaged_copy_is_not_put_back(history: History, tmp_path: Path) -> None:
    plant, copy = str(tmp_path / "plant.yaml"), tmp_path / "copy.db"
    assert main(["backup", plant, str(copy)]) == 0
    for damage in ("UPDATE version SET number = 1", "UPDATE tail SET data = x'0102'"):
        opened = engine(f"sqlite:///{copy}")
        with opened.begin() as db:
            db.execute(text(damage))
        opened.dispose()
        assert main(["restore", plant, str(copy)]) == 1
    assert list(tmp_path.glob("history.db.replaced*")) == []
    assert len(values(history)) == 30
