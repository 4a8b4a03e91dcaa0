"""Calling methods of devices, through the door of writes.py: who may, each id once, in time, and a line of the log.

What is different from a write: a method has several arguments, each with limits of its own; nothing is read back, so
the device's word counts; and there is a shortest time between two calls.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.contracts import Caller
from gateway.model import Quality
from gateway.model.method import Argument, Called, Method
from gateway.model.quality import BAD
from gateway.quoting import shown
from gateway.wishes import Ended, Refused, Request, Result
from gateway.writes import Writes


class Calls:
    """Carries calls out, one at a time per method. `methods` are by path, `site` and asset first."""

    def __init__(self, writes: Writes, site: str, methods: Mapping[str, Method]) -> None:
        self._writes = writes
        self._site = site
        self._methods = methods
        self._called_s: dict[str, float] = {}

    async def call(self, request: Request) -> Result:
        """Carry a request out whose `tag` is a method and whose `value` are its arguments by name.

        The `read_back` of the result is the Called, if the device has answered. Raises nothing for what is asked, nor
        for what the device does.
        """
        whole = f"{self._site}/{request.tag}"
        path = whole if whole in self._methods else request.tag
        return await self._writes.once(replace(request, tag=path, verb="call"), self._call)

    async def _call(self, request: Request) -> Result:
        method = self._checked(request)
        connector = self._writes.connected(method.device)
        assert isinstance(connector, Caller)  # no other protocol has methods in its configuration

        async def send() -> Called:
            self._keep_pace(request.tag, method.interval_s)
            return await connector.call(method.name, request.value)

        return await self._writes.tell(request, request.tag, send, _ended)

    def _checked(self, request: Request) -> Method:
        """Return the method. Raises Refused if it is not one, or not with these arguments."""
        method = self._methods.get(request.tag)
        if method is None:
            raise Refused(Quality.BAD_NODE_ID_UNKNOWN, f"there is no method {shown(request.tag)}")
        if request.value.keys() != method.arguments.keys():
            takes = ", ".join(method.arguments) or "no arguments"
            raise Refused(Quality.BAD_INVALID_ARGUMENT, f"{request.tag} takes {takes}: name each of them, and no other")
        for name, argument in method.arguments.items():
            _check(f"{request.tag}: {name}", argument, request.value[name])
        return method

    def _keep_pace(self, path: str, interval_s: float) -> None:
        """Raise Refused if the last call is too short ago."""
        now_s = asyncio.get_running_loop().time()
        since_s = now_s - self._called_s.get(path, -float("inf"))
        if since_s < interval_s:
            what = f"it was called {since_s:.3f} s ago, and may be called every {interval_s:g} s"
            raise Refused(Quality.BAD_TOO_MANY_OPERATIONS, what)
        self._called_s[path] = now_s


def _check(what: str, argument: Argument, value: Any) -> None:
    """Raise Refused if an argument may not have this value."""
    if argument.limits is not None:
        if isinstance(value, (bool, str)):
            raise Refused(Quality.BAD_TYPE_MISMATCH, f"{what} takes a number, not {shown(value)}")
        low, high = argument.limits
        if not low <= value <= high:
            raise Refused(Quality.BAD_OUT_OF_RANGE, f"{what}: {value} is outside its limits: {low} to {high}")
    elif argument.choices:
        if value not in argument.choices:
            choices = ", ".join(argument.choices)
            raise Refused(Quality.BAD_OUT_OF_RANGE, f"{what}: {shown(value)} is none of {choices}")
    elif not isinstance(value, (bool, str)):
        raise Refused(Quality.BAD_TYPE_MISMATCH, f"{what} has no limits, so no number is handed over")


def _ended(request: Request, called: Called) -> Ended:
    if called.code < BAD:
        return Ended("done", Quality.GOOD, "", called)
    quality = Quality(called.code) if called.code in set(Quality) else Quality.BAD_DEVICE_FAILURE
    wrong = "".join(f"; {name}: {status}" for name, status in called.arguments.items() if status.startswith("Bad"))
    return Ended("failed", quality, f"the device refused it: {called.status}{wrong}", called)
