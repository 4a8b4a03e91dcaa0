"""The forms in which the API gives many rows: JSON, lines of JSON, CSV; and nothing at all where who asks has them.

Those of columns are in api/arrow.py; what all of them are called is here.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson
from fastapi import Response

MEDIA: Final = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; header=present",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_ACCEPTED: Final = {
    "application/json": "json",
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    MEDIA["arrow"]: "arrow",
    MEDIA["parquet"]: "parquet",
}


def accepted(header: str) -> str:
    """The first form of an Accept header that there is (RFC 9110 section 12.5.1, weights left out); else JSON."""
    names = (part.partition(";")[0].strip().lower() for part in header.split(","))
    return next((_ACCEPTED[name] for name in names if name in _ACCEPTED), "json")


def unless_known(known: str, answer: Response, *, closed: bool) -> Response:
    """The answer, or 304 if who asks has it: `known` is If-None-Match.

    Late readings change the past, so a tag is of what is answered.
    """
    answer.headers["Vary"] = "Accept"
    if closed:
        tag = f'"{blake2b(answer.body, digest_size=12).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
        if known == "*" or tag in (one.strip().removeprefix("W/") for one in known.split(",")):
            return Response(status_code=304, headers=headers)
        answer.headers.update(headers)
    return answer


def lines(rows: Iterable[bytes], following: str | None) -> Response:
    body = b"".join(row + b"\n" for row in rows)
    return Response(body, media_type=MEDIA["ndjson"], headers=continued(following))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], following: str | None) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return Response(text.getvalue(), media_type=MEDIA["csv"], headers=continued(following))


def continued(following: str | None) -> dict[str, str]:
    """The header that has the cursor of the page that follows, if one does."""
    return {"X-Next-Cursor": following} if following else {}


def csv_row(row: bytes) -> tuple[Any, ...]:
    reading = orjson.loads(row)
    return reading["timestamp"], cell(reading["value"]), reading.get("status", 0)


def cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, (list, dict)) else value
