"""Durations and sizes as people write them: `500ms`, `1s`, `90d`, `2GiB`."""

import re
from typing import Final

_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def seconds(text: str | float) -> float:
    """Return seconds from `500ms`, `1s`, `5min`, `1h` or `90d`; a bare number is seconds.

    Raises ValueError naming the text and the units.
    """
    return _quantity(text, _SECONDS, "a duration such as 500ms, 1s, 5min, 1h or 90d")


def size(text: str | int) -> int:
    """Return bytes from `512MiB` or `2GB`; a bare number is bytes. Raises ValueError naming the text and the units."""
    return round(_quantity(text, _BYTES, "a size such as 512MiB or 2GB"))


def _quantity(text: str | float, units: dict[str, float] | dict[str, int], wanted: str) -> float:
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        value = float(text)
        if not 0 <= value < float("inf"):
            raise ValueError(f"{text!r} is not {wanted}")
        return value
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    return float(match[1]) * units[match[2]]
