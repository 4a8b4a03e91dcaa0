"""Versions of the configuration on disk: numbered for ever, a hundred of them, each with what it changed."""

import stat
from pathlib import Path

import pytest

from gateway.config.versions import COMPARED_LINES_MAX, Version, Versions, lines_between, replaced


def add(versions: Versions, text: str) -> Version:
    return versions.add(text, time_ns=1_000, author="eng", why="a test", change={"stops": ["saw"]})


def test_a_version_says_who_when_why_and_which_lines(tmp_path: Path) -> None:
    versions = Versions(tmp_path / "config")
    add(versions, "a: 1\nb: 2\n")
    add(versions, "a: 1\nb: ${SECRET}\n")
    (second, first), again = versions.all(), Versions(tmp_path / "config")
    assert (second.number, second.author, second.why, second.time_ns) == (2, "eng", "a test", 1_000)
    assert second.change == {"stops": ["saw"]}
    assert second.diff == ["@@ from line 2 on @@", "@@ -1 +1 @@", "-b: 2", "+b: ${SECRET}"]
    assert first.diff[-2:] == ["+a: 1", "+b: 2"]
    assert (again.text(1), again.get(2)) == ("a: 1\nb: 2\n", second)


def test_the_oldest_make_room_and_numbers_go_on(tmp_path: Path) -> None:
    versions = Versions(tmp_path, kept=3)
    for n in range(5):
        add(versions, f"n: {n}\n")
    assert versions.numbers() == [3, 4, 5]
    assert len(list(tmp_path.iterdir())) == 6
    with pytest.raises(KeyError):
        versions.text(1)
    versions.drop(5)
    assert versions.newest() == 4


def test_a_version_that_is_damaged_or_half_written_is_not_there(tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    add(versions, "a: 1\n")
    add(versions, "a: 2\n")
    (tmp_path / "1.json").write_text("{", encoding="utf-8")
    (tmp_path / "3.yaml").write_text("a: 3\n", encoding="utf-8")
    assert [version.number for version in versions.all()] == [2]
    assert add(versions, "a: 4\n").number == 3
    assert versions.text(3) == "a: 4\n"


def test_a_file_is_replaced_through_links_with_the_rights_it_had(tmp_path: Path) -> None:
    file, link = tmp_path / "plant.yaml", tmp_path / "link.yaml"
    replaced(file, "a: 1\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    link.symlink_to(file)
    replaced(link, "a: Grüße\n")
    assert (link.is_symlink(), file.read_text(encoding="utf-8")) == (True, "a: Grüße\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_would_take_minutes_to_compare_is_not() -> None:
    lines = [f"{n // 2}" for n in range(100_000)]
    text = "\n".join(lines)
    assert lines_between(text, text) == []
    one = lines_between(text, text.replace("\n700\n700\n", "\n700\nx\n700\n"))
    assert one == ["@@ from line 1402 on @@", "@@ -0,0 +1 @@", "+x"]
    assert lines_between(text, "y\n" + text + "\ny") == ["@@ 100000 lines from line 1 on became 100002 @@"]
    assert lines_between("", "x\n" * (COMPARED_LINES_MAX + 1)) == ["@@ 0 lines from line 1 on became 1001 @@"]
