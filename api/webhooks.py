"""Webhooks: how each endpoint does, what was given up for it, sending that again, and a test. See docs/webhooks.md."""

from typing import Annotated, Any, Self

import orjson
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.browse import moment
from api.plant import Plant
from api.problems import ANSWERS, answers
from api.readings import span
from api.sending import Webhooks
from api.times import Moment
from api.writes import ERRORS, SmallJson
from gateway.audit import Entry

Name = Annotated[str, Path(description="name of the endpoint in the configuration", examples=["erp"])]
Id = Annotated[str, Field(pattern="^msg_[0-9a-f]{32}$", examples=["msg_0123456789abcdef0123456789abcdef"])]


class Endpoint(BaseModel):
    """An endpoint. Counts are since the start of the gateway."""

    name: str
    url: str = Field(description="without its path, which may be a secret", examples=["https://erp.example/..."])
    state: str = Field(
        description="up, down, connecting, or disabled: it answered 410 Gone, and a test that gets through enables it"
    )
    since: str | None
    waiting: int
    oldest: str | None = Field(description="when the event came that waits longest")
    in_flight: int
    dead: int = Field(description="events that were given up, and are kept")
    delivered: int
    dropped: int = Field(description="given up because too many waited")
    failed: int = Field(description="attempts that failed")
    last_delivered: str | None
    last_error: str = Field(description="of the last attempt, if it failed")


class Letter(BaseModel):
    """An event that was given up."""

    id: str = Field(description="its webhook-id")
    came: str | None
    given_up: str | None
    attempts: int
    error: str
    event: dict[str, Any] = Field(description="the CloudEvent; without data if that was too large to be sent")


class Page(BaseModel):
    """Events that were given up, oldest first; `next` is the cursor of the page that follows."""

    events: list[Letter]
    next: str | None


class Again(BaseModel):
    """Which events shall be sent again: some, or those that came in [start, end)."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Id] | None = Field(default=None, min_length=1, max_length=100)
    start: Moment | None = Field(default=None, examples=["2026-01-05T06:00:00Z", "-1d"])
    end: Moment | None = Field(default=None, examples=["now"])

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is None) == (self.start is None) or (self.end is not None and self.start is None):
            raise ValueError("name ids, or start and end")
        return self


class Replayed(BaseModel):
    """How many wait to be sent again, and how many were left because no more may wait: ask again later."""

    replayed: int
    left: int


class Tried(BaseModel):
    """What the endpoint made of a signed event whose EventType is TestEvent."""

    id: str = Field(description="its webhook-id")
    delivered: bool
    status: int | None = Field(description="of its answer, null if there was none")
    error: str


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"], responses=ANSWERS)
    wishes = APIRouter(responses=ERRORS, route_class=SmallJson)

    @routes.get("", operation_id="get_webhooks")
    async def webhooks() -> list[Endpoint]:
        """Return how each endpoint does."""
        parts = {part.name: part for part in plant.parts()}
        found = [] if plant.webhooks is None else await plant.webhooks.states()
        return [
            Endpoint(
                **{key: one[key] for key in Endpoint.model_fields if key in one},
                state="disabled" if one["gone"] else parts[f"webhook {one['name']}"].state,
                since=moment(parts[f"webhook {one['name']}"].since_ns),
                oldest=moment(one["oldest_ns"]),
                last_delivered=moment(one["last_ns"]),
            )
            for one in found
        ]

    @routes.get("/{name}/dead", operation_id="get_dead_letters")
    async def dead(
        name: Name,
        limit: Annotated[int, Query(ge=1, le=1000, description="events in a page")] = 100,
        cursor: Annotated[str, Query(pattern="^(|[0-9]{1,18})$", description="`next` of the page before")] = "",
    ) -> Page:
        """Return events that were given up for an endpoint, oldest first."""
        found = await _of(plant, name).dead(name, int(cursor or 0), limit + 1)
        more = str(found[limit - 1]["number"]) if len(found) > limit else None
        return Page(events=[_letter(one) for one in found[:limit]], next=more)

    @wishes.post("/{name}/replay", operation_id="replay_webhook")
    async def replay(name: Name, again: Again) -> Replayed:
        """Send events again that were given up, with the ids that they had; the oldest first."""
        hooks = _of(plant, name)
        if again.ids is None:
            between = span(again.start or "", again.end or "now", plant.now_ns())
            done, left = await hooks.replay(name, between_ns=between)
        else:
            done, left = await hooks.replay(name, ids=again.ids)
        plant.audit.add(Entry("webhook.replay", name, "done", detail=f"{done} events"))
        return Replayed(replayed=done, left=left)

    @routes.post("/{name}/test", operation_id="test_webhook", responses=answers(403))
    async def test(name: Name) -> Tried:
        """Send a signed test event at once. An endpoint that was disabled and takes it is enabled."""
        tested = await _of(plant, name).test(name)
        outcome = "failed" if tested.error else "done"
        plant.audit.add(Entry("webhook.test", name, outcome, detail=tested.error))
        return Tried(id=tested.id, delivered=not tested.error, status=tested.status, error=tested.error)

    routes.include_router(wishes)
    return routes


def _of(plant: Plant, name: str) -> Webhooks:
    """Return the webhooks, if there is an endpoint of this name. Raises HTTPException 404."""
    names = () if plant.webhooks is None else plant.webhooks.names
    if plant.webhooks is None or name not in names:
        raise HTTPException(404, f"there is no webhook {name}: there are {', '.join(names) or 'none'}")
    return plant.webhooks


def _letter(one: Any) -> Letter:
    data = {} if one["data"] is None else {"data": orjson.loads(one["data"])}
    return Letter(
        id=one["id"],
        came=moment(one["made_ns"]),
        given_up=moment(one["dead_ns"]),
        attempts=one["attempts"],
        error=one["error"],
        event=one["attributes"] | data,
    )
