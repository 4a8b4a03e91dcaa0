"""Moments as people and JSON have them."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_ns: int) -> str:
    """Return a time in ns since 1970 as RFC 3339 in UTC, to the second."""
    return (_EPOCH + timedelta(seconds=time_ns // 1_000_000_000)).isoformat().replace("+00:00", "Z")
