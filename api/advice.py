"""Advice over HTTP: what was advised at machines, and what people say of it. See docs/maintenance.md."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.asked import Wish
from api.browse import moment
from api.history import From, To
from api.plant import Plant
from api.readings import span
from api.times import like, whole
from api.writes import ERRORS, SmallJson
from gateway.audit import Entry
from gateway.payload import timestamp

Shares = Annotated[dict[str, float], Field(description="share of each tag, the largest first")]
Asset = Annotated[str, Query(max_length=500, description="path of a machine, or of what it is in; all if absent")]
AdviceId = Annotated[str, Path(max_length=500, examples=["pump1-cavitation-1767593563000"])]
_NO_TIME: Final = "null while it is not so"


class Said(Wish):
    """What you say of an advice: that you have seen it, or whether it was right, and what it was if it was not."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["seen", "right", "wrong"]
    true_cause: str = Field(default="", max_length=200, examples=["clogged_strainer"])
    note: str = Field(default="", max_length=2_000, examples=["strainer was full of labels"])


class Rating(BaseModel):
    """What was said of an advice last."""

    verdict: Literal["right", "wrong"]
    true_cause: str
    note: str
    by: str
    time: str


class AdviceInfo(BaseModel):
    """A finding at a machine, from when it was raised until it was cleared."""

    id: str = Field(examples=["pump1-cavitation-1767593563000"])
    asset: str = Field(description="path", examples=["acme/dresden/utilities/pump1"])
    tag: str = Field(description="path of the tag whose event it is")
    state: Literal["open", "cleared"]
    cause: str = Field(description="name of the fault", examples=["cavitation"])
    message: str = Field(description="all of it in one sentence")
    look: str = Field(description="what to look at")
    confidence: float | None
    shares: Shares
    since: str | None = Field(description="when it was there first")
    until: str | None = Field(description="how long the machine is expected to last; null without a forecast")
    raised: str
    cleared: str | None = Field(description=_NO_TIME)
    evidence: dict[str, Any] = Field(description="what each tag is, should be, and may be")
    acknowledged: str | None = Field(description=f"when somebody said that they have seen it; {_NO_TIME}")
    acknowledged_by: str | None
    rating: Rating | None = Field(description="null until somebody says whether it was right")


class Page(BaseModel):
    """Advices, newest first; `next` is the cursor of the page that follows."""

    advices: list[AdviceInfo]
    next: str | None


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/maintenance", tags=["maintenance"], responses=ERRORS, route_class=SmallJson)

    @routes.get("/advice", operation_id="get_advice")
    async def advice(
        asset: Asset = "",
        start: From = "-30d",
        end: To = "now",
        state: Annotated[Literal["", "open", "cleared", "unrated", "rated"], Query(description="only these")] = "",
        limit: Annotated[int, Query(ge=1, le=1_000, description="advices in a page")] = 100,
        cursor: Annotated[str, like("|[0-9]{1,19}:.*"), Query(description="`next` of the page before")] = "",
    ) -> Page:
        """Return what was advised in [from, to), newest first, and what people say of it."""
        start_ns, end_ns = span(start, end, plant.now_ns())
        found = await plant.ratings.advices(
            start_ns=start_ns,
            end_ns=end_ns,
            asset=_path(plant, asset),
            state=state,
            before=_parsed(cursor, end_ns),
            rows_max=limit + 1,
        )
        following = f"{found[limit - 1]['raised_ns']}:{found[limit - 1]['id']}" if len(found) > limit else None
        return Page(advices=[info(one) for one in found[:limit]], next=following)

    @routes.post("/advice/{id}/rating", operation_id="rate_advice")
    async def rate(id: AdviceId, said: Said, request: Request) -> AdviceInfo:
        """Say of an advice that you have seen it, or whether it was right; what is said last counts.

        The same again changes nothing. The rating is kept for the backtest of signals.
        """
        who = getattr(request.state, "client", "")
        try:
            found = await plant.ratings.say(id, said.verdict, said.true_cause, said.note, who)
        except KeyError:
            raise HTTPException(404, f"there is no advice {id}: it was never given, or is forgotten") from None
        plant.audit.add(Entry("rate", id, "done", value=said.model_dump()))
        return info(found)

    return routes


def _path(plant: Plant, asset: str) -> str:
    return asset if not asset or f"{asset}/".startswith(f"{plant.site}/") else f"{plant.site}/{asset}"


def info(found: Mapping[str, Any]) -> AdviceInfo:
    """Return an advice of the register as it is told."""
    event, rating = found["event"], found["rating"]
    return AdviceInfo(
        id=found["id"],
        asset=found["asset"],
        tag=found["tag"],
        state="open" if found["cleared_ns"] is None else "cleared",
        cause=found["cause"],
        message=event.get("Message", ""),
        look=event.get("Look", ""),
        confidence=event.get("Confidence"),
        shares=event.get("Cause", {}),
        since=event.get("Since"),
        until=event.get("Until"),
        raised=timestamp(found["raised_ns"]),
        cleared=moment(found["cleared_ns"]),
        evidence=event.get("Evidence", {}),
        acknowledged=moment(found["acknowledged_ns"]),
        acknowledged_by=found["acknowledged_by"],
        rating=rating and Rating(**rating, time=timestamp(rating["time_ns"])),
    )


def _parsed(cursor: str, end_ns: int) -> tuple[int, str]:
    """Time and id of the last advice of the page before. Raises HTTPException 422."""
    if not cursor:
        return end_ns, ""
    raised, colon, id = cursor.partition(":")
    try:
        return whole(raised if colon else ""), id
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
