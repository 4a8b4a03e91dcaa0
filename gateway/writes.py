"""The only door through which a device is written: who may, what, within which limits, by when, and never twice.

    request --> allowed? --> known id? --> tag, value, device? --> its turn --> Writer.write --> compare --> result
                refused      first result  refused                 refused      unknown          failed      done

Whoever takes wishes from outside hands them in here and nowhere else. Every one of them is a line of the log, with who
asked and what became of it. This knows no protocol: how a device is written and read back is its connector's business.
"""

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np

from gateway.asking import asking
from gateway.audit import UNHEARD, Audit
from gateway.contracts import Clock, Connector, DeviceError, Writer
from gateway.model import Catalog, Quality, Tag
from gateway.quoting import line, shown
from gateway.supervise import Health, quality_of
from gateway.wishes import TEXT_MAX as TEXT_MAX
from gateway.wishes import Ended, check_carried, told, wish
from gateway.wishes import Refused as Refused
from gateway.wishes import Request as Request
from gateway.wishes import Result as Result
from gateway.wishes import Status as Status

WAIT_S: Final = 30.0
"""How long a write may take, also one that says no time of expiry: nobody expects it to happen later."""
KEPT_S: Final = 3600.0
KEPT_MAX: Final = 10_000
"""For how long, and how many, results are remembered; the oldest are forgotten first."""
UNDER_WAY_MAX: Final = 1000
_PATH_MAX: Final = 500
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

A = TypeVar("A")

_DONE: Final = {"write": "written", "call": "carried out: look at the machine"}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """A request and, once `ended` is set, its result."""

    request: Request
    result: Result
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Writes:
    """Carries requests out, one at a time per tag, each id once. `device` gives a device by its name."""

    def __init__(
        self,
        catalog: Catalog,
        site: str,
        device: Callable[[str], tuple[Connector, Health]],
        writers: Collection[str],
        clock: Clock,
        audit: Audit = UNHEARD,
    ) -> None:
        self._audit = audit
        self._catalog = catalog
        self._site = site
        self._device = device
        self._writers = frozenset(writers)
        self._clock = clock
        self._turns: dict[Hashable, asyncio.Lock] = {}
        self._under_way: dict[str, _Asked] = {}
        self._ended: dict[str, _Asked] = {}

    async def write(self, request: Request) -> Result:
        """Carry a request out and return what became of it; for an id that is known, what became of the first.

        Raises nothing for what is asked, nor for what the device does.
        """
        return await self.once(replace(request, tag=self._path(request.tag)), self._write)

    async def once(self, request: Request, carry_out: Callable[[Request], Awaitable[Result]]) -> Result:
        """Have a request carried out if the asker may and its id is new; `carry_out` may raise Refused."""
        try:
            self._admit(request)
            asked = self._known(request.id)
            if asked is not None and wish(asked.request) != wish(request):
                raise Refused(Quality.BAD_ENTRY_EXISTS, f"the id {request.id} was given to another request")
        except Refused as refused:  # not remembered, or whoever may not write could take ids away from those who may
            return told(request, self._result(request, "refused", refused.quality, str(refused)), self._audit)
        if asked is None:
            return await self._first(request, carry_out)
        log.info("%s %s was asked for again by %s and not repeated", request.verb, request.id, request.who)
        await asked.ended.wait()
        return asked.result

    def refuse(self, request: Request, quality: Quality, why: str) -> Result:
        """Say that a request is not carried out for a reason that only its bearer knows."""
        return told(request, self._result(request, "refused", quality, why), self._audit)

    async def result(self, id: str) -> Result:
        """Return what became of a request, once it has ended. Raises KeyError for an id that is not remembered."""
        asked = self._known(id)
        if asked is None:
            raise KeyError(id)
        await asked.ended.wait()
        return asked.result

    # --- each id once ---------------------------------------------------------------------

    async def _first(self, request: Request, carry_out: Callable[[Request], Awaitable[Result]]) -> Result:
        asked = _Asked(request, self._result(request, "unknown", Quality.BAD_INTERNAL_ERROR, "it was broken off"))
        self._under_way[request.id] = asked
        try:
            asked.result = await carry_out(request)
        except Refused as refused:
            asked.result = self._result(request, "refused", refused.quality, str(refused))
        finally:
            del self._under_way[request.id]
            self._ended[request.id] = asked
            asked.ended.set()
            told(request, asked.result, self._audit)
        return asked.result

    def _known(self, id: str) -> _Asked | None:
        self._forget()
        return self._under_way.get(id) or self._ended.get(id)

    def _forget(self) -> None:
        last_ns = self._clock.now_ns() - round(KEPT_S * 1e9)
        while self._ended:
            oldest = next(iter(self._ended))
            if len(self._ended) <= KEPT_MAX and self._ended[oldest].result.time_ns >= last_ns:
                return
            del self._ended[oldest]

    # --- whether ----------------------------------------------------------------------------

    def _admit(self, request: Request) -> None:
        """Raise Refused if the asker may not write, or if it is no request at all."""
        asks = asking()
        vouched = asks is not None and asks.writes and asks.who == request.who
        if request.who not in self._writers and not vouched:
            raise Refused(Quality.BAD_USER_ACCESS_DENIED, f"{request.who or 'nobody'} is not one of api.writers")
        if asks is not None and not asks.may_ask_for(request.tag, self._site):
            what = f"the token of {request.who} is for other tags: {', '.join(asks.tags)}"
            raise Refused(Quality.BAD_USER_ACCESS_DENIED, what)
        if not _ID.fullmatch(request.id):
            raise Refused(Quality.BAD_INVALID_ARGUMENT, "the id must be 1 to 64 letters, digits, or one of _.:-")
        if len(request.tag) > _PATH_MAX:
            raise Refused(Quality.BAD_INVALID_ARGUMENT, f"the tag has more than {_PATH_MAX} characters")
        for value in request.values:
            check_carried(value)

    def _checked(self, request: Request) -> int:
        """Return the number of the tag. Raises Refused if it cannot be written with this value, or not now."""
        if request.tag not in self._catalog:
            raise Refused(Quality.BAD_NODE_ID_UNKNOWN, f"there is no tag {shown(request.tag)}")
        number = self._catalog.number(request.tag)
        tag = self._catalog[number]
        _check_value(tag, request.value)
        return number

    def connected(self, device: str) -> Connector:
        """Return the connector of a device. Raises Refused if the device is not there, or enough is under way."""
        connector, health = self._device(device)
        if health.state != "up":
            reason = health.error or health.state
            raise Refused(Quality.BAD_NOT_CONNECTED, f"the device {device} is away: {reason}")
        if len(self._under_way) > UNDER_WAY_MAX:
            raise Refused(Quality.BAD_TOO_MANY_OPERATIONS, f"{UNDER_WAY_MAX} writes are under way")
        return connector

    def _left_s(self, request: Request) -> float:
        """How long the write may take. Raises Refused if it has expired."""
        if request.expires_ns is None:
            return WAIT_S
        left_s = (request.expires_ns - self._clock.now_ns()) / 1e9
        if left_s <= 0:
            raise Refused(Quality.BAD_REQUEST_TIMEOUT, f"it had expired {abs(left_s):.3f} s before it came")
        return min(left_s, WAIT_S)

    # --- carrying it out --------------------------------------------------------------------

    async def _write(self, request: Request) -> Result:
        number = self._checked(request)
        connector = self.connected(self._catalog[number].device)
        assert isinstance(connector, Writer)  # the plan has seen to that
        return await self.tell(request, number, lambda: connector.write(number, request.value), _compared)

    async def tell(
        self,
        request: Request,
        turn: Hashable,
        send: Callable[[], Awaitable[A]],
        ended: Callable[[Request, A], Ended],
    ) -> Result:
        """Have `send` tell the device when it is its turn; `ended` says what its answer comes to.

        Raises Refused if nothing was sent. Nothing is ever sent again: after an OSError nobody knows.
        """
        left_s = self._left_s(request)
        sent = False
        try:
            async with asyncio.timeout(left_s), self._turns.setdefault(turn, asyncio.Lock()):
                sent = True
                answer = await send()
        except ValueError as error:
            raise Refused(Quality.BAD_OUT_OF_RANGE, str(error)) from error
        except DeviceError as error:
            return self._result(request, "failed", error.quality, f"the device refused it: {error}")
        except OSError as error:  # TimeoutError is one
            if not sent:
                raise Refused(Quality.BAD_REQUEST_TIMEOUT, "it expired while it waited for its turn") from error
            what = f"nobody knows whether it was {_DONE[request.verb]}: {str(error) or 'no answer in time'}"
            return self._result(request, "unknown", quality_of(error), what)
        return self._result(request, *ended(request, answer))

    def _result(self, request: Request, status: Status, code: Quality, detail: str, read_back: Any = None) -> Result:
        now_ns, verb = self._clock.now_ns(), request.verb
        return Result(request.id, request.tag, request.value, status, code, line(detail), now_ns, read_back, verb)

    def _path(self, given: str) -> str:
        """The whole path of a tag, which may be given without the site; what is no tag stays as it is."""
        whole = f"{self._site}/{given}"
        return whole if given not in self._catalog and whole in self._catalog else given


def _check_value(tag: Tag, value: float | str | bool) -> None:
    """Raise Refused if a tag may not be written, or not with this value."""
    if not tag.writable:
        raise Refused(Quality.BAD_NOT_WRITABLE, f"{tag.path} may not be written: its configuration has no write: true")
    if tag.limits is None:
        if not isinstance(value, (bool, str)):
            raise Refused(Quality.BAD_TYPE_MISMATCH, f"{tag.path} has no limits, so no number is written to it")
        return
    if isinstance(value, (bool, str)):
        raise Refused(Quality.BAD_TYPE_MISMATCH, f"{tag.path} takes a number, not {shown(value)}")
    low, high = tag.limits
    if not low <= value <= high:
        raise Refused(Quality.BAD_OUT_OF_RANGE, f"{value} is outside the limits of {tag.path}: {low} to {high}")


def _compared(request: Request, read_back: Any) -> Ended:
    """What a write comes to, by what the device has now."""
    found = read_back.item() if isinstance(read_back, np.generic) else read_back
    if _agree(request.value, found):
        return Ended("done", Quality.GOOD, "", found)
    what = f"it was written, but the device has {shown(found)} now"
    return Ended("failed", Quality.BAD_UNEXPECTED_ERROR, what, found)


def _agree(wanted: float | str | bool, found: Any) -> bool:
    """Whether a device has what was written: exactly, or for floats as near as a float32 can be."""
    if isinstance(found, float) and not isinstance(wanted, str):
        return math.isclose(wanted, found, rel_tol=2.0**-24, abs_tol=2.0**-150)
    return isinstance(found, (bool, int, str)) and bool(wanted == found)
