"""Durations and sizes as people write them."""

import pytest

from gateway.model.duration import seconds, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", 0.5), ("1s", 1.0), ("5min", 300.0), ("1h", 3600.0), ("90d", 7_776_000.0), ("1.5 h", 5400.0),
        (" 2s ", 2.0), (3, 3.0), (0.25, 0.25), (0, 0.0),
    ],
)  # fmt: skip
def test_seconds(text: str | float, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10B", 10), ("1KiB", 1024), ("512MiB", 2**29), ("2GiB", 2**31), ("1kB", 1000), ("2GB", 2 * 10**9), (7, 7)],
)
def test_size(text: str | int, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-1s", "1 m", "1S", "1e3s", "1s1s", "1,5s", -1, True, float("nan"), float("inf"), None, [1]]
)
def test_what_is_no_duration_is_named(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 500ms") as caught:
        seconds(text)  # type: ignore[arg-type]
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1", "1gib", "1 KB", "-5B", "1h"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 512MiB"):
        size(text)
