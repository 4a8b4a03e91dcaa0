"""Values as they were: raw, as a picture, or by bucket of time; told by api/told.py in the forms of api/forms.py."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field

from api import told
from api.arrow import FORMS
from api.browse import number_of
from api.forms import MEDIA, accepted
from api.past import answered
from api.plant import Plant
from api.problems import ANSWERS
from api.readings import Value, span
from api.times import MaybeDuration, Moment, like, whole
from gateway.model.duration import seconds

_MINUTE_NS: Final = 60_000_000_000
_MS_NS: Final = 1_000_000
_TEXT_ROWS_MAX: Final = 100_000
_BUCKETS_MAX: Final = 50_000
_WIDTH_S_MAX: Final = 366 * 86_400
_KINDS: Final = 5
"""So many readings of one tag may have the same time: one of each kind of value."""


class Page(BaseModel):
    """Readings of one tag, by time; `next` is the cursor of the page that follows."""

    path: str
    unit: str
    readings: list[Value]
    next: str | None


class Bucket(BaseModel):
    """A stretch of time of one tag. The numbers are of the good readings; null if there was none.

    What is behind `last` is there with `detailed`: a reading holds until the next one, and while it is not good nothing
    is known.
    """

    timestamp: str
    count: int = Field(description="readings, good or not")
    good: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    first: float | None
    last: float | None
    deviation: float | None = Field(default=None, description="standard deviation of the good readings (of a sample)")
    time_mean: float | None = Field(default=None, description="mean weighted by how long each value held")
    held: float = Field(default=0.0, description="seconds in which the value is known")
    changes: int = Field(default=0, description="good readings that differ from the good one before")
    states: dict[str, float] = Field(default={}, description="seconds of each value of what is no float")


class Buckets(BaseModel):
    """One tag, rolled up."""

    path: str
    unit: str
    bucket: float = Field(description="width in seconds")
    buckets: list[Bucket]


From = Annotated[Moment, Query(alias="from", description="2026-01-05T06:00:00Z, ms since 1970, now, or -1h")]
To = Annotated[Moment, Query(alias="to", description="as `from`; the range is [from, to)")]
Width = Annotated[
    MaybeDuration, Query(alias="bucket", description="roll up: minutes or hours, such as 1min; raw if absent")
]
Detailed = Annotated[bool, Query(description="more of each bucket, from all readings; any width from 1ms on")]
Points = Annotated[int, Query(ge=0, le=20_000, description="as many good numbers as a picture needs; 0 for all")]
Method = Annotated[Literal["lttb", "minmax"], Query(description="how these are chosen")]
Which = Annotated[Literal["any", "good"], Query(alias="quality", description="good leaves out the others")]
Limit = Annotated[
    int, Query(ge=1, le=1_000_000, description="readings in a page; at most 100,000 but for arrow and parquet")
]
Cursor = Annotated[str, like(r"|-?[0-9]{1,19}\.[0-5]"), Query(max_length=100, description="`next` of the page before")]
Format = Annotated[
    Literal["", "json", "csv", "ndjson", "arrow", "parquet"], Query(description="instead of the header Accept")
]


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["readings"], responses=ANSWERS)
    answers: dict[str, Any] = {
        "model": Page | Buckets,
        "content": {MEDIA[form].partition(";")[0]: {} for form in MEDIA},
    }

    @routes.get(
        "/history/{path:path}",
        operation_id="get_history",
        responses={200: answers, 304: {"description": "what If-None-Match names is still so"}},
    )
    async def history(
        request: Request,
        path: str,
        start: From = "-1h",
        end: To = "now",
        bucket: Width = "",
        detailed: Detailed = False,
        points: Points = 0,
        method: Method = "lttb",
        which: Which = "any",
        limit: Limit = 10_000,
        cursor: Cursor = "",
        format: Format = "",
    ) -> Response:
        """Return what a tag was in [from, to), oldest first: raw, fewer for a picture, or rolled up per bucket."""
        tag = replace(plant.catalog[number_of(plant, path)], labels={})  # which nobody needs there, nor can be pickled
        start_ns, end_ns = span(start, end, plant.now_ns())
        asked = told.Asked(
            form=format or accepted(request.headers.get("accept", "")),
            known=request.headers.get("if-none-match", ""),
            closed=end_ns <= plant.now_ns(),
        )
        try:
            if bucket:
                width_ns = _width_ns(bucket, end_ns - start_ns, _MS_NS if detailed else _MINUTE_NS)
                question = partial(told.rolled, bucket=bucket, width_ns=width_ns, detailed=detailed)
            elif points:
                question = partial(told.picture, method=method, points=points)
            else:
                if asked.form not in FORMS and limit > _TEXT_ROWS_MAX:
                    raise ValueError(
                        f"limit: {asked.form} has at most {_TEXT_ROWS_MAX} readings in a page, arrow a million"
                    )
                start_ns, skip = _parsed(cursor, start_ns)
                question = partial(told.raw, skip=skip, limit=limit, usable=which == "good")
            return await answered(plant, request, told.answer, question, asked, tag, start_ns, end_ns)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None

    return routes


def _parsed(cursor: str, start_ns: int) -> tuple[int, int]:
    """From which time on a page is, and how many of that time to leave out."""
    if not cursor:
        return start_ns, 0
    time, _, skip = cursor.partition(".")
    after_ns, shown = whole(time), whole(skip)
    if not 0 <= shown <= _KINDS:
        raise ValueError("cursor: take it from `next` of the page before")
    return (after_ns, shown) if after_ns >= start_ns else (start_ns, 0)


def _width_ns(text: str, span_ns: int, unit_ns: int) -> int:
    if seconds(text) > _WIDTH_S_MAX:
        raise ValueError(f"bucket: {text} is more than a year")
    width_ns = round(seconds(text) * 1e9)
    if width_ns < unit_ns or width_ns % unit_ns:
        raise ValueError(f"bucket: {text} is not a number of {'minutes' if unit_ns == _MINUTE_NS else 'milliseconds'}")
    if span_ns / width_ns > _BUCKETS_MAX:
        raise ValueError(f"bucket: {text} makes more than {_BUCKETS_MAX} buckets; choose a wider one")
    return width_ns
