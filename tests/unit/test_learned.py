"""What connectors learned is there after a restart, and never in the way."""

from pathlib import Path

import pytest

from gateway.learned import Learned


def test_what_was_stored_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    assert Learned(file).load() == {}
    Learned(file).store({"press": {"in_flight": 4}, "grün": {}})
    assert Learned(file).load() == {"press": {"in_flight": 4}, "grün": {}}
    assert [path.name for path in tmp_path.iterdir()] == ["devices.json"]


def test_it_is_written_only_when_there_is_something_new(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    learned = Learned(file)
    learned.store({"press": {"in_flight": 4}})
    file.unlink()
    learned.store({"press": {"in_flight": 4}})
    assert not file.exists()
    learned.store({"press": {"in_flight": 8}})
    assert file.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"press": 3}', b"[" * 100_000])
def test_a_damaged_file_costs_that_it_is_learned_again(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "devices.json"
    file.write_bytes(content)
    learned = Learned(file)
    assert learned.load() == {}
    learned.store({"press": {"in_flight": 4}})
    assert Learned(file).load() == {"press": {"in_flight": 4}}


def test_a_disk_that_does_not_take_it_is_an_os_error_and_spoils_nothing(tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    learned = Learned(file)
    learned.store({"press": {"in_flight": 4}})
    (tmp_path / "devices.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        learned.store({"press": {"in_flight": 8}})
    assert Learned(file).load() == {"press": {"in_flight": 4}}
