"""The bench of i3X measures what it says."""

import pytest

from gateway.bench import i3x


def test_every_way_brings_all_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i3x, "_POINTS", 500)
    told = i3x.measure()
    assert [row.readings for row in told] == [500, 500, 500, 500, 400]
    columns, objects, answer, squeezed, _ = (row.bytes_per_reading for row in told)
    assert columns == pytest.approx(objects - 6, abs=1)  # json.dumps writes six blanks per object
    assert columns < answer < columns + 1
    assert squeezed < answer / 3
