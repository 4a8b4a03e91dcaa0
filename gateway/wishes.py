"""What somebody wants a device to do, and what became of it. Whether it is done is the business of writes.py."""

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from gateway.audit import Audit, Entry
from gateway.model import Quality
from gateway.model.quality import name
from gateway.quoting import BITS_MAX, shown

TEXT_MAX: Final = 1000

Verb = Literal["write", "call"]
Status = Literal["done", "refused", "failed", "unknown"]

log = logging.getLogger("gateway.writes")


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody's wish that a tag had a value.

    `id` is the asker's own and new for every wish; `tag` is a path, with or without the site; `value` is a number, a
    text, true or false; `who` is the name by which the asker is known; `expires_ns` is in nanoseconds since 1970 UTC.
    The `verb` is `call` where `tag` is a method and `value` its arguments by name (calls.py).
    """

    id: str
    tag: str
    value: Any
    who: str
    expires_ns: int | None = None
    verb: Verb = "write"

    @property
    def values(self) -> Collection[Any]:
        """What would be sent: the value, or each argument."""
        return self.value.values() if self.verb == "call" else (self.value,)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request.

    `done`: the device has the value. `refused`: nothing was sent to the device. `failed`: the device refused it, or has
    another value now. `unknown`: the device gave no answer, so it may have the value or not. Of a call, `read_back` is
    the Called.
    """

    id: str
    tag: str
    value: Any
    status: Status
    code: Quality
    detail: str
    time_ns: int
    read_back: Any = None
    verb: Verb = "write"


class Ended(NamedTuple):
    """What the answer of a device comes to."""

    status: Status
    code: Quality
    detail: str
    read_back: Any


class Refused(Exception):
    """A request that is not carried out, and why."""

    def __init__(self, quality: Quality, message: str) -> None:
        super().__init__(message)
        self.quality = quality


def check_carried(value: Any) -> None:
    """Raise Refused for a value that no device can have; so what is remembered is small."""
    match value:
        case bool():
            return
        case int():
            if value.bit_length() > BITS_MAX:
                raise Refused(Quality.BAD_OUT_OF_RANGE, f"the value is {shown(value)}, more than {BITS_MAX}")
        case float():
            if not math.isfinite(value):
                raise Refused(Quality.BAD_OUT_OF_RANGE, f"{value} is not a number that a device can have")
        case str():
            if len(value) > TEXT_MAX:
                raise Refused(Quality.BAD_OUT_OF_RANGE, f"the text has more than {TEXT_MAX} characters")
        case _:
            raise Refused(Quality.BAD_TYPE_MISMATCH, "the value must be a number, a text, true or false")


def wish(request: Request) -> tuple[object, ...]:
    """What two requests of one id must have in common; 1 is not true."""
    names = sorted(request.value) if request.verb == "call" else ()
    values = [request.value[name] for name in names] if names else list(request.values)
    return request.verb, request.who, request.tag, names, [isinstance(value, bool) for value in values], values


def told(request: Request, result: Result, audit: Audit) -> Result:
    """Tell the log and the audit trail; what came from outside cannot break a line or forge another."""
    detail = name(result.code) + (f" ({result.detail})" if result.detail else "")
    entry = Entry(request.verb, request.tag, result.status, who=request.who, value=request.value, detail=detail)
    (audit.often if result.status == "refused" else audit.add)(entry)
    log.log(
        logging.INFO if result.status == "done" else logging.WARNING,
        "%s %s of %s = %s by %s: %s, %s",
        request.verb,
        shown(request.id),
        shown(request.tag),
        shown(request.value),
        shown(request.who),
        result.status,
        detail,
    )
    return result
