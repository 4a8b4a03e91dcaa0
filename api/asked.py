"""What routes of production have in common: whether there is any, and wishes that are done once."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Self

from fastapi import Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, model_validator

from api.making import Production
from api.plant import Plant
from api.problems import problem
from api.times import time_ns
from gateway.audit import Entry
from gateway.production.jobs import Refused

Time = Annotated[str, Query(description="2026-01-05T06:00:00Z, ms since 1970, now, or -1h")]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="a new one for every wish, the same when you try again: that does nothing, and answers as before",
        examples=["JO-77"],
    ),
]

_STATUS: Final = {"late": 422}


class Wish(BaseModel):
    """What comes in and goes out again as JSON, so it has to fit in there."""

    @model_validator(mode="after")
    def _writable(self) -> Self:
        try:
            json.dumps(self.model_dump(mode="json"), allow_nan=False, ensure_ascii=False).encode()
        except ValueError as error:
            raise ValueError(f"it has what JSON cannot carry: {error}") from None
        return self


def production(plant: Plant) -> Production:
    """Return what there is of production. Raises HTTPException 404."""
    if plant.production is None:
        raise HTTPException(404, "no work units are configured: add the section production")
    return plant.production


async def once(
    plant: Plant, request: Request, key: str, asked: Any, do: Callable[[str], dict[str, Any]], deed: Entry
) -> dict[str, Any]:
    """Do it once per key, in the name of whoever asks, and tell the audit trail. Raises HTTPException, Refused."""
    who, made, deeds = getattr(request.state, "client", ""), production(plant), []

    def done() -> dict[str, Any]:
        answer = do(who)
        deeds.append(deed)
        return answer

    try:
        answer = await made.ask(made.once, who, request.url.path, key, asked, done)
    except KeyError as error:
        raise HTTPException(404, f"there is no {error.args[0]}") from None
    if answer is None:
        raise HTTPException(422, "this Idempotency-Key was used for something else: take a new one")
    for one in deeds:
        plant.audit.add(one)
    return answer


def moment(text: str, plant: Plant, where: str) -> int:
    """Return a time [ns]. Raises HTTPException 422 that says where it is wrong."""
    try:
        return time_ns(text, plant.now_ns())
    except ValueError as error:
        raise HTTPException(422, f"{where}: {error}") from None


def refused(error: Refused) -> Response:
    """Return the problem of an order that is not taken or cannot do that."""
    return problem(_STATUS.get(error.kind, 409), str(error), type=f"urn:itot-gateway:order-{error.kind}")
