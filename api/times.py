"""Points in time as people and programs write them, always with a meaning that does not depend on where they are.

2026-01-05T06:00:00Z   2026-01-05T07:00:00.5+01:00    RFC 3339, with its offset
1767592800000                                         milliseconds since 1970 UTC
now   -1h   -90s   -7d                                from the moment of the request
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import WithJsonSchema

from gateway.model.duration import seconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS: Final = 9_183_110_400_000_000_000  # 2261-01-01: a bucket of a year around it is in 64 bits as well
_FIRST_NS: Final = -_LAST_NS
_MS: Final = re.compile(r"\d{1,15}")
_DURATION: Final = r"[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|min|h|d)"
_CLOCK: Final = r"[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])"
_MOMENT: Final = rf"now|-{_DURATION}|[0-9]{{1,15}}|[0-9]{{4}}-[01][0-9]-[0-3][0-9]T{_CLOCK}"


def like(pattern: str) -> WithJsonSchema:
    """Return what the OpenAPI document says of a text. Whoever reads the text says better what is wrong with it."""
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$"})


Moment = Annotated[str, like(_MOMENT)]
MaybeMoment = Annotated[str, like(f"|{_MOMENT}")]
Duration = Annotated[str, like(_DURATION)]
MaybeDuration = Annotated[str, like(f"|{_DURATION}")]


def whole(text: str) -> int:
    """Return a number of a cursor. Raises ValueError if it is none of 63 bits, which a database could not take."""
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or abs(int(text)) >= 2**63:
        raise ValueError("cursor: take it from `next` of the page before")
    return int(text)


def time_ns(text: str, now_ns: int) -> int:
    """Return nanoseconds since 1970 UTC. Raises ValueError naming the text and the forms."""
    found = _time_ns(text, now_ns)
    if not _FIRST_NS <= found <= _LAST_NS:
        raise ValueError(f"{text!r} is outside the years 1679 to 2260, which nanoseconds can tell apart")
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
