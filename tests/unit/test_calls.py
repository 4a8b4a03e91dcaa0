"""Calls of methods: every reason to refuse, what a device may say, and that no id is ever called twice."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.contracts import Caller, DeviceError
from gateway.model import Quality
from gateway.model.method import Called
from gateway.model.quality import name
from gateway.wishes import Request, Result
from tests.drive import SITE, Drive, Hall
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

MOVE = f"{SITE}/hall/drive/move"
ARGUMENTS = {"Position": 120, "Mode": "fast", "Enable": True}


def wish(
    *, id: str = "a", method: str = MOVE, who: str = "erp", expires_s: float | None = None, **arguments: Any
) -> Request:
    """A request to move, with these arguments in place of others."""
    expires_ns = None if expires_s is None else EPOCH_NS + round(expires_s * 1e9)
    return Request(id, method, ARGUMENTS | arguments if method == MOVE else arguments, who, expires_ns)


def called(*requests: Request, prepare: Callable[[Hall], None] = lambda hall: None) -> tuple[Drive, list[Result]]:
    """Hand requests in one after the other, 2 s apart."""

    async def world() -> tuple[Drive, list[Result]]:
        hall = Hall(LoopClock())
        prepare(hall)
        results = []
        for request in requests:
            results.append(await hall.calls.call(request))
            await asyncio.sleep(2.0)
        return hall.drive, results

    return simulate(world())


def test_the_drive_of_the_tests_keeps_the_contract() -> None:
    assert isinstance(Drive(), Caller)


@pytest.mark.parametrize("path", [MOVE, "hall/drive/move"])
def test_a_call_is_done_when_the_device_says_so(path: str) -> None:
    request = Request("a", path, ARGUMENTS, "erp")
    drive, (result,) = called(request)
    assert drive.called == [("move", ARGUMENTS)]
    assert result == Result("a", MOVE, ARGUMENTS, "done", Quality.GOOD, "", EPOCH_NS, drive.says, "call")


@pytest.mark.parametrize(
    ("request_", "code", "detail"),
    [
        (wish(who="spy"), "BadUserAccessDenied", "spy is not one of api.writers"),
        (wish(id="a b"), "BadInvalidArgument", "the id must be 1 to 64 letters"),
        (wish(method="hall/drive/stop"), "BadNodeIdUnknown", "there is no method 'hall/drive/stop'"),
        (wish(method="hall/drive/speed"), "BadNodeIdUnknown", "there is no method 'hall/drive/speed'"),
        (wish(method="hall/drive/reset", Hard=True), "BadInvalidArgument", "takes no arguments: name each"),
        (wish(More=1), "BadInvalidArgument", "takes Position, Mode, Enable: name each of them, and no other"),
        (Request("a", MOVE, {"Position": 120}, "erp"), "BadInvalidArgument", "name each of them, and no other"),
        (wish(Position=200.5), "BadOutOfRange", "Position: 200.5 is outside its limits: 0.0 to 200.0"),
        (wish(Position=True), "BadTypeMismatch", "Position takes a number, not True"),
        (wish(Position="120"), "BadTypeMismatch", "Position takes a number, not '120'"),
        (wish(Position=float("nan")), "BadOutOfRange", "nan is not a number"),
        (wish(Position=[1]), "BadTypeMismatch", "the value must be a number, a text, true or false"),
        (wish(Mode="medium"), "BadOutOfRange", "Mode: 'medium' is none of slow, fast"),
        (wish(Mode=1), "BadOutOfRange", "Mode: 1 is none of slow, fast"),
        (wish(Enable=1), "BadTypeMismatch", "Enable has no limits, so no number is handed over"),
        (wish(Enable="x" * 1001), "BadOutOfRange", "more than 1000 characters"),
        (wish(expires_s=-1.5), "BadRequestTimeout", "it had expired 1.500 s before it came"),
    ],
)
def test_what_may_not_be_is_refused(request_: Request, code: str, detail: str) -> None:
    drive, (result,) = called(request_)
    assert (result.status, name(result.code)) == ("refused", code)
    assert detail in result.detail
    assert drive.called == []


def test_a_tag_is_not_called_and_a_method_is_not_written() -> None:
    async def world() -> tuple[Drive, Result]:
        hall = Hall(LoopClock())
        return hall.drive, await hall.writes.write(Request("a", MOVE, ARGUMENTS, "erp"))

    drive, result = simulate(world())
    assert (result.status, drive.called, drive.written) == ("refused", [], [])


def test_a_device_that_is_away_is_not_called() -> None:
    def lose(hall: Hall) -> None:
        hall.health.state, hall.health.error = "down", "no answer within 1 s"

    drive, (result,) = called(wish(), prepare=lose)
    assert (result.detail, drive.called) == ("the device drive is away: no answer within 1 s", [])


def test_what_the_device_refuses_is_told_per_argument() -> None:
    says = Called(0x80AB_0000, "BadInvalidArgument", {"Position": "BadOutOfRange", "Mode": "Good"})

    def refuse(hall: Hall) -> None:
        hall.drive.says = says

    _, (result,) = called(wish(), prepare=refuse)
    assert (result.status, result.code, result.read_back) == ("failed", Quality.BAD_INVALID_ARGUMENT, says)
    assert result.detail == "the device refused it: BadInvalidArgument; Position: BadOutOfRange"


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (ValueError("Position: 1 does not fit"), "refused", "BadOutOfRange"),
        (DeviceError("it has no node", Quality.BAD_NODE_ID_UNKNOWN), "failed", "BadNodeIdUnknown"),
        (TimeoutError("no answer"), "unknown", "BadTimeout"),
        (ConnectionResetError("gone"), "unknown", "BadNotConnected"),
    ],
)
def test_trouble_is_told_and_the_call_never_repeated(trouble: Exception, status: str, code: str) -> None:
    def fail(hall: Hall) -> None:
        hall.drive.trouble = trouble

    drive, (result, again) = called(wish(), wish(), prepare=fail)
    assert (result.status, name(result.code), again) == (status, code, result)
    assert len(drive.called) == 1
    if status == "unknown":
        assert result.detail == f"nobody knows whether it was carried out: look at the machine: {trouble}"


def test_a_device_that_never_answers_is_given_up() -> None:
    def stuck(hall: Hall) -> None:
        hall.drive.takes_s = 1e9

    _, (result,) = called(wish(expires_s=5.0), prepare=stuck)
    assert (result.status, name(result.code), result.time_ns) == ("unknown", "BadTimeout", EPOCH_NS + 5_000_000_000)


def test_an_id_is_for_one_wish_be_it_a_write_or_a_call() -> None:
    async def world() -> list[str]:
        hall = Hall(LoopClock())
        await hall.calls.call(wish())
        others = [
            wish(Position=121),
            wish(Position=1),
            wish(Enable=False),
            wish(who="mes"),
            wish(method="hall/drive/reset"),
        ]
        results = [await hall.calls.call(other) for other in others]
        results.append(await hall.writes.write(Request("a", "hall/drive/speed", 120, "erp")))
        results.append(await hall.calls.call(wish(Position=120.0)))
        assert len(hall.drive.called) == 1
        assert hall.drive.written == []
        return [name(result.code) for result in results]

    assert simulate(world()) == ["BadEntryExists"] * 6 + ["Good"]


def test_true_is_not_one() -> None:
    async def world() -> str:
        hall = Hall(LoopClock())
        await hall.calls.call(wish(Enable=True))
        return (await hall.calls.call(wish(Enable=1))).detail

    assert simulate(world()) == "the id a was given to another request"


def test_a_method_is_not_called_sooner_than_its_interval() -> None:
    async def world() -> list[tuple[str, str]]:
        hall = Hall(LoopClock())
        results = [await hall.calls.call(wish())]
        await asyncio.sleep(0.25)
        results.append(await hall.calls.call(wish(id="b")))
        await asyncio.sleep(0.75)
        results.append(await hall.calls.call(wish(id="c")))
        return [(name(result.code), result.detail) for result in results]

    soon = ("BadTooManyOperations", "it was called 0.250 s ago, and may be called every 1 s")
    assert simulate(world()) == [("Good", ""), soon, ("Good", "")]


def test_every_call_is_a_line_that_nobody_can_forge(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.writes")
    called(wish(), Request("b", MOVE, ARGUMENTS | {"x'}\nwrite": "\n"}, "erp"))
    first, second = [record.getMessage() for record in caplog.records]
    assert first == f"call 'a' of '{MOVE}' = {{'Position': 120, 'Mode': 'fast', 'Enable': True}} by 'erp': done, Good"
    assert "\n" not in second
    assert second.startswith(f"call 'b' of '{MOVE}' = {{'Position': 120,")
    assert "refused, BadInvalidArgument" in second
