"""What clients may ask, in the standard's words. What is not in here is ignored, so that newer clients are served."""

# ruff: noqa: N815  # the names are those of the standard

import re
from typing import Annotated, Any, Final

from fastapi import HTTPException, Request
from pydantic import AfterValidator, BaseModel, Field, StrictBool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.times import time_ns

IDS_MAX: Final = 10_000
UPDATES_MAX: Final = 100
_BYTES_MAX: Final = 4 << 20
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def moment_ns(text: str) -> int:
    """Return nanoseconds since 1970 of an RFC 3339 time, and of nothing else. Raises ValueError."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("write a time as 2026-01-05T06:00:00Z")
    return time_ns(text, 0)


def _time(text: str) -> str:
    moment_ns(text)
    return text


Ids = Annotated[list[str], Field(max_length=IDS_MAX, examples=[["acme/dresden/packaging/line1/filler/temperature"]])]
Depth = Annotated[int | None, Field(strict=True, ge=0, description="levels of components; 0: all, 1: none")]
Time = Annotated[str, AfterValidator(_time), Field(max_length=40, examples=["2026-01-05T06:00:00Z"])]
Client = Annotated[str, Field(min_length=1, max_length=200, description="chosen by the client, its own for all time")]


class Elements(BaseModel):
    elementIds: Ids


class Objects(Elements):
    includeMetadata: StrictBool | None = False


class Related(Objects):
    relationshipType: str | None = Field(default=None, description="elementId of a relationship type; all if absent")


class Values(Elements):
    maxDepth: Depth = 1

    @property
    def deep(self) -> bool:
        """Whether components are wanted; they are one level below, and none is deeper."""
        return self.maxDepth not in (None, 1)


class History(Values):
    startTime: Time
    endTime: Time


class Told(BaseModel):
    value: Any
    quality: str | None = "Good"
    timestamp: str | None = None


class Update(BaseModel):
    elementId: str
    value: Told


class Updates(BaseModel):
    updates: Annotated[list[Update], Field(max_length=UPDATES_MAX)]


class NewSubscription(BaseModel):
    clientId: Client
    displayName: Annotated[str, Field(max_length=200)] | None = None


class Subscriptions(BaseModel):
    clientId: Client
    subscriptionIds: Annotated[list[str], Field(max_length=IDS_MAX)]


class Subscription(BaseModel):
    clientId: Client
    subscriptionId: str


class Unregister(Subscription):
    elementIds: Ids


class Register(Unregister):
    maxDepth: Depth = 1


class Sync(Subscription):
    lastSequenceNumber: Any = Field(default=None, description="the batches up to it are acknowledged; -1: all")


async def json_only(request: Request) -> None:
    """Refuse a body that is not JSON: the form of another page in the same browser is not."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in ("POST", "PUT") and kind != "application/json":
        raise HTTPException(400, "send application/json")


class Bounded:
    """Reads no more of a body than a request can have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > _BYTES_MAX:
                raise HTTPException(413, f"a request has at most {_BYTES_MAX} bytes")
            return message

        await self._app(scope, bounded, send)
