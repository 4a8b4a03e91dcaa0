"""Points in time as people and programs write them, always with a meaning that does not depend on where they are.

2026-01-05T06:00:00Z   2026-01-05T07:00:00.5+01:00    RFC 3339, with its offset
1767592800000                                         milliseconds since 1970 UTC
now   -1h   -90s   -7d                                from the moment of the request
"""

import re
from datetime import UTC, datetime
from typing import Final

from gateway.model.duration import seconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS: Final = 9_214_646_400_000_000_000  # 2262-01-01
_FIRST_NS: Final = -_LAST_NS
_MS: Final = re.compile(r"\d{1,15}")


def time_ns(text: str, now_ns: int) -> int:
    """Return nanoseconds since 1970 UTC. Raises ValueError naming the text and the forms."""
    found = _time_ns(text, now_ns)
    if not _FIRST_NS <= found <= _LAST_NS:
        raise ValueError(f"{text!r} is outside the years 1678 to 2261, which nanoseconds can tell apart")
    return found


def _time_ns(text: str, now_ns: int) -> int:
    if text == "now":
        return now_ns
    if text.startswith("-"):
        return now_ns - round(min(seconds(text[1:]) * 1e9, 2.0 * _LAST_NS))
    if _MS.fullmatch(text):
        return int(text) * 1_000_000
    try:
        time = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 2026-01-05T06:00:00Z, milliseconds since 1970, now or -1h"
        ) from None
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: write 2026-01-05T06:00:00Z or 2026-01-05T07:00:00+01:00")
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
