"""Alarms over HTTP: what is not as it should be, what happened to it, what people do about it, and how well that goes.

Everything that is done takes a list of alarms; what cannot be done to some of them does not keep the others.
"""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.alarm_forms import Acknowledge, Alarms, Done, Service, Shelve, Some, Story, Suppress, info
from api.annunciator import Annunciator
from api.plant import Plant
from api.problems import answers, problem
from api.readings import span
from api.times import Moment, whole
from api.writes import ERRORS, SmallJson
from gateway.alarms.alarm import Alarm, Answer
from gateway.alarms.states import Deed, State
from gateway.audit import Entry
from gateway.payload import timestamps

Words = Literal[
    "open", "all", "normal", "unacknowledged", "acknowledged", "returned", "latched_unacknowledged",
    "latched_acknowledged", "shelved", "suppressed", "out_of_service",
]  # fmt: skip
_DONE: Final[dict[int | str, dict[str, Any]]] = {200: {"model": Done}}
_LAST: Final = (1 << 63) - 1


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["alarms"], responses=ERRORS | answers(409), route_class=SmallJson)

    @routes.get("/alarms", operation_id="get_alarms")
    async def listed(
        state: Annotated[list[Words], Query(description="`open`: not normal, or hidden")] = ["open"],  # noqa: B006
        priority: Annotated[str, Query(max_length=100)] = "",
        asset: Annotated[str, Query(max_length=500, description="path, with or without the site: it and below")] = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        cursor: Annotated[str, Query(max_length=1_100, description="`next` of the page before")] = "",
    ) -> Alarms:
        """Return alarms, those raised last first."""
        after = _parsed(cursor) if cursor else None

        def wanted(alarm: Alarm) -> bool:
            fits = _is(alarm, state) and priority in ("", alarm.about.priority) and _at(alarm, asset, plant.site)
            return fits and (after is None or _place(alarm) > after)

        found = sorted(await _annunciator(plant).listed(wanted), key=lambda one: _place(one[0]))
        page = [info(alarm, certain) for alarm, certain in found[:limit]]
        last = found[limit - 1][0] if len(found) > limit else None
        return Alarms(alarms=page, next=None if last is None else f"{last.raised_ns}:{last.about.id}")

    @routes.get("/alarms/performance", operation_id="get_alarm_performance")
    async def performance(start: Moment = "-30d", end: Moment = "now") -> dict[str, Any]:
        """Return how alarms went for those who answer to them, in [start, end): the metrics of ISA-18.2.

        `target` is what is acceptable at most per operator. A flood is 10 alarms in 10 minutes until there are fewer
        than 5; chattering are 3 in a minute; stale is what has been active for a day. Hidden alarms do not count.
        """
        start_ns, end_ns = span(start, end, plant.now_ns())
        if start_ns == end_ns:
            raise HTTPException(422, "start and end: nothing is between them")
        found = await _annunciator(plant).performance(start_ns, end_ns)
        floods = [dict(zip(("start", "end"), timestamps(np.array(one)), strict=True)) for one in found["floods"]]
        begin, finish = timestamps(np.array([start_ns, end_ns]))
        return {"start": begin, "end": finish, **found, "floods": floods}

    _add_deeds(routes, plant)
    _add_story(routes, plant)  # behind all others: an id may be any path
    return routes


def _add_deeds(routes: APIRouter, plant: Plant) -> None:
    """Add what people do to alarms."""

    async def done(request: Request, wish: Some, deed: Deed, **how: Any) -> Response:
        return await _done(plant, wish, Answer(deed, getattr(request.state, "client", ""), wish.comment, **how))

    @routes.post("/alarms/acknowledge", operation_id="acknowledge_alarms", responses=_DONE)
    async def acknowledge(wish: Acknowledge, request: Request) -> Response:
        """Acknowledge alarms; those of an OPC UA server that takes it are acknowledged there."""
        return await done(request, wish, Deed.ACKNOWLEDGE, event=wish.event_id)

    @routes.post("/alarms/reset", operation_id="reset_alarms", responses=_DONE)
    async def reset(wish: Some, request: Request) -> Response:
        """Reset latched alarms that are active no more."""
        return await done(request, wish, Deed.RESET)

    @routes.post("/alarms/shelve", operation_id="shelve_alarms", responses=_DONE)
    async def shelve(wish: Shelve, request: Request) -> Response:
        """Hide alarms for a time."""
        for_ns = None if wish.minutes is None else round(wish.minutes * 60e9)
        return await done(request, wish, Deed.SHELVE, one_shot=wish.one_shot, for_ns=for_ns)

    @routes.post("/alarms/unshelve", operation_id="unshelve_alarms", responses=_DONE)
    async def unshelve(wish: Some, request: Request) -> Response:
        """Show alarms again."""
        return await done(request, wish, Deed.UNSHELVE)

    @routes.post("/alarms/suppress", operation_id="suppress_alarms", responses=_DONE)
    async def suppress(wish: Suppress, request: Request) -> Response:
        """Suppress alarms by design, or end that."""
        return await done(request, wish, Deed.SUPPRESS if wish.suppressed else Deed.UNSUPPRESS)

    @routes.post("/alarms/service", operation_id="service_alarms", responses=_DONE)
    async def service(wish: Service, request: Request) -> Response:
        """Take alarms out of service, or put them back."""
        return await done(request, wish, Deed.PLACE if wish.in_service else Deed.REMOVE)


def _add_story(routes: APIRouter, plant: Plant) -> None:
    @routes.get("/alarms/{path:path}", operation_id="get_alarm")
    async def one(
        path: Annotated[str, Path(description="id, as it is listed")],
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        cursor: Annotated[str, Query(max_length=20, description="`next` of the page before")] = "",
    ) -> Story:
        """Return an alarm and what happened to it, the newest first."""
        annunciator = _annunciator(plant)
        try:
            found, certain = await annunciator.one(path)
        except KeyError:
            raise HTTPException(404, f"there is no alarm {path}") from None
        events = await annunciator.happened(path, _number(cursor), limit + 1)
        following = str(events[limit - 1][0]) if len(events) > limit else None
        told = [dict(event) for _, event in events[:limit]]
        return Story(alarm=info(found, certain), transitions=told, next=following)


def _annunciator(plant: Plant) -> Annunciator:
    if plant.alarms is None:
        raise HTTPException(404, "no alarms are configured: add the section alarms")
    return plant.alarms


async def _done(plant: Plant, wish: Some, answer: Answer) -> Response:
    """Do it, here or at the servers of the alarms, and tell the audit trail of each."""
    annunciator, ids = _annunciator(plant), dict.fromkeys(wish.alarms)
    try:
        where = {id: await annunciator.elsewhere(id) for id in ids}
        there = [id for id in ids if where[id][0] and answer.deed is Deed.ACKNOWLEDGE]
        refused = dict(await annunciator.answer([id for id in ids if id not in there], answer))
    except KeyError as error:
        raise HTTPException(404, f"there is no alarm {error.args[0]}") from None
    for id in there:
        if trouble := await _acknowledged(plant, *where[id], answer):
            refused[id] = trouble
    for id in ids:
        outcome = "refused" if id in refused else "done"
        plant.audit.add(Entry(answer.deed.value, id, outcome, detail=refused.get(id, ""), value=answer.comment))
    told = [{"id": id, "detail": detail} for id, detail in refused.items()]
    if len(refused) == len(ids):
        return problem(409, f"{told[0]['id']}: {told[0]['detail']}", refused=told)
    now = await annunciator.listed(lambda alarm: alarm.about.id in ids)
    return JSONResponse({"alarms": [info(alarm, certain).model_dump() for alarm, certain in now], "refused": told})


async def _acknowledged(plant: Plant, method: str, event_id: str, answer: Answer) -> str:
    """Acknowledge an alarm at its server; return why that did not work, if it did not."""
    if answer.event not in ("", event_id):
        return f"its latest event is {event_id}, not {answer.event}: look at it again"
    arguments = {"EventId": event_id, "Comment": answer.comment}
    id = f"acknowledge-{secrets.token_hex(8)}"
    called = await plant.call(id=id, method=method, arguments=arguments, who=answer.who, expires_ns=None)
    return "" if called.status == "done" else f"its server has not acknowledged it: {called.detail}"


def _is(alarm: Alarm, words: Sequence[str]) -> bool:
    condition = alarm.condition
    return (
        "all" in words
        or condition.state.value in words
        or ("open" in words and (condition.retain or condition.state is not State.NORMAL))
    )


def _at(alarm: Alarm, asset: str, site: str) -> bool:
    whole = {asset, f"{site}/{asset}"}
    return not asset or any(f"{alarm.about.asset}/".startswith(f"{path}/") for path in whole)


def _place(alarm: Alarm) -> tuple[int, str]:
    return -alarm.raised_ns, alarm.about.id


def _parsed(cursor: str) -> tuple[int, str]:
    raised, _, id = cursor.partition(":")
    return -_number(raised or "?"), id


def _number(text: str) -> int:
    try:
        return whole(text) if text else _LAST
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
