"""Writing a tag: POST a wish, get what became of it. Who may write what is decided behind `Plant.write`, not here."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.plant import Plant, Written
from api.problems import ANSWERS, answers, problem
from api.readings import json
from api.times import Moment, time_ns
from gateway.model.quality import name
from gateway.payload import written_message

_BYTES_MAX: Final = 16_384
ERRORS: Final = ANSWERS | answers(403, 409, 410, 411, 413, 415, 502, 504)
_REFUSED: Final = {
    "BadUserAccessDenied": 403,
    "BadNotWritable": 403,
    "BadNodeIdUnknown": 404,
    "BadEntryExists": 409,
    "BadRequestTimeout": 410,
    "BadNotConnected": 503,
    "BadTooManyOperations": 503,
}
"""Status codes by the reason of a refusal; all others are the fault of the value, 422."""

Id = Annotated[str, Path(description="the id of the write")]
Scalar = Annotated[Any, WithJsonSchema({"type": ["number", "string", "boolean"]})]
WriteStatus = Literal["done", "refused", "failed", "unknown"]
NewId = Annotated[
    str,
    Field(
        pattern="^[A-Za-z0-9_.:-]{1,64}$",
        description="yours, and a new one for every wish; the same again does nothing and gets the first answer",
        examples=["recipe-4711-speed"],
    ),
]
Expires = Annotated[
    Moment | None,
    Field(
        description="it is not begun after that time, RFC 3339; 30 s after it came at the latest",
        examples=["2026-01-05T06:00:10Z"],
    ),
]


class Wish(BaseModel):
    """What a tag shall be."""

    model_config = ConfigDict(extra="forbid")

    id: NewId
    tag: str = Field(
        max_length=500, description="path, with or without the site", examples=["packaging/line1/filler/speed_setpoint"]
    )
    value: Scalar = Field(description="in the unit of the tag, within its limits", examples=[120])
    expires: Expires = None


class WriteInfo(BaseModel):
    """What became of a wish."""

    id: str = Field(examples=["recipe-4711-speed"])
    tag: str = Field(examples=["acme/dresden/packaging/line1/filler/speed_setpoint"])
    status: WriteStatus = Field(
        description="done: the device has the value; refused: nothing was sent to it; failed: it refused, or has"
        " another value; unknown: it gave no answer and may have the value or not"
    )
    code: str = Field(description="name of the OPC UA StatusCode", examples=["Good"])
    detail: str = Field(description="why it is not done", examples=[""])
    value: Scalar = Field(description="what was wanted", examples=[120])
    read_back: Scalar | None = Field(
        description="what the device had afterwards; null if it was not read", examples=[120]
    )
    time: str = Field(description="when that was known", examples=["2026-01-05T06:00:00.123456Z"])


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["writes"], responses=ERRORS, route_class=SmallJson)

    @routes.post("/writes", operation_id="write_tag", responses={200: {"model": WriteInfo}})
    async def write(wish: Wish, request: Request) -> Response:
        """Write a tag, read it back, and answer 200 if the device has the value.

        Every other answer is a problem, with what became of the wish in its member `write`: 403 it may not be written
        or not by you, 404 no such tag, 409 the id was used for something else or the device has another value now,
        410 expired, 422 not this value, 502 the device refused it, 503 the device is away, 504 nobody knows.
        """
        expires_ns = None if wish.expires is None else expiry_ns(wish.expires, plant.now_ns())
        who = getattr(request.state, "client", "")
        return _answer(await plant.write(id=wish.id, tag=wish.tag, value=wish.value, who=who, expires_ns=expires_ns))

    @routes.get("/writes/{id}", operation_id="get_write", responses={200: {"model": WriteInfo}})
    async def written(id: Id) -> Response:
        """Return what became of a write, whatever it was; one that is under way is waited for."""
        try:
            found = await plant.written(id)
        except KeyError:
            found = None
        if found is None or found.verb != "write":
            raise HTTPException(404, f"no write {id} is remembered")
        return json(_info(found))

    return routes


class SmallJson(APIRoute):
    """Looks at the headers before a body is read: a form of another page is not JSON, and a wish is short."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method == "POST":
                _check(request)
            return await handle(request)

        return checked


def _check(request: Request) -> None:
    """Raise HTTPException for a body that is not JSON, or longer than a wish can be."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send application/json")
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(411, "send Content-Length")
    if int(length) > _BYTES_MAX:
        raise HTTPException(413, f"a write has at most {_BYTES_MAX} bytes")


def expiry_ns(text: str, now_ns: int) -> int:
    try:
        return time_ns(text, now_ns)
    except ValueError as error:
        raise HTTPException(422, f"expires: {error}") from None


def _answer(written: Written) -> Response:
    if written.status == "done":
        return json(_info(written))
    return problem(status_of(written), written.detail, write=orjson.loads(_info(written)))


def status_of(written: Written) -> int:
    match written.status, name(written.code):
        case "refused", reason:
            return _REFUSED.get(reason, 422)
        case "unknown", _:
            return 504
        case _, "BadUnexpectedError":
            return 409
        case _:
            return 502


def _info(written: Written) -> bytes:
    return written_message(
        id=written.id,
        tag=written.tag,
        status=written.status,
        code=written.code,
        detail=written.detail,
        value=written.value,
        read_back=written.read_back,
        time_ns=written.time_ns,
    )
