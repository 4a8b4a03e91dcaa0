"""The door for writes: every reason to refuse, what the device may answer, and that no id is ever written twice."""

import asyncio
import logging
import math
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import DeviceError, Writer
from gateway.model import Quality
from gateway.model.quality import name
from gateway.writes import KEPT_MAX, KEPT_S, TEXT_MAX, UNDER_WAY_MAX, WAIT_S, Request, Result
from tests.drive import SPEED, Drive, Hall
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate


def wish(
    value: Any = 120, *, id: str = "a", tag: str = SPEED, who: str = "erp", expires_s: float | None = None
) -> Request:
    return Request(id, tag, value, who, None if expires_s is None else EPOCH_NS + round(expires_s * 1e9))


def written(*requests: Request, prepare: Callable[[Hall], None] = lambda hall: None) -> tuple[Hall, list[Result]]:
    """Hand requests in one after the other."""

    async def world() -> tuple[Hall, list[Result]]:
        hall = Hall(LoopClock())
        prepare(hall)
        return hall, [await hall.writes.write(request) for request in requests]

    return simulate(world())


def once(request: Request, prepare: Callable[[Hall], None] = lambda hall: None) -> tuple[Drive, Result]:
    hall, (result,) = written(request, prepare=prepare)
    return hall.drive, result


def test_the_drive_of_the_tests_keeps_the_contract() -> None:
    assert isinstance(Drive(), Writer)


# --- done ---------------------------------------------------------------------------------


def test_a_write_is_done_when_the_device_has_the_value() -> None:
    drive, result = once(wish(120))
    assert drive.written == [(0, 120)]
    assert result == Result("a", SPEED, 120, "done", Quality.GOOD, "", EPOCH_NS, 120)


def test_a_path_may_begin_below_the_site() -> None:
    drive, result = once(wish(120, tag="hall/drive/speed"))
    assert (result.status, result.tag, len(drive.written)) == ("done", SPEED, 1)


@pytest.mark.parametrize(("tag", "value"), [("enable", True), ("enable", False), ("recipe", "Grüße"), ("recipe", "")])
def test_switches_and_texts_are_written_without_limits(tag: str, value: object) -> None:
    drive, result = once(wish(value, tag=f"hall/drive/{tag}"))
    assert (result.status, result.read_back) == ("done", value)
    assert len(drive.written) == 1


@pytest.mark.parametrize("value", [0, 200, 0.0, -0.0, 200.0, 5e-324])
def test_the_limits_themselves_may_be_written(value: float) -> None:
    assert once(wish(value))[1].status == "done"


@pytest.mark.parametrize("value", [2**53 + 1, 2**64 - 1])
def test_integers_stay_exact(value: int) -> None:
    drive, result = once(wish(value, tag="hall/drive/steps"))
    assert (drive.written, result.read_back) == ([(1, value)], value)


# --- refused, and nothing is sent to the device -------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code", "detail"),
    [
        (wish(who="spy"), "BadUserAccessDenied", "spy is not one of api.writers"),
        (wish(who=""), "BadUserAccessDenied", "nobody is not one of api.writers"),
        (wish(id=""), "BadInvalidArgument", "the id must be 1 to 64 letters"),
        (wish(id="x" * 65), "BadInvalidArgument", "the id must be 1 to 64 letters"),
        (wish(id="a\n"), "BadInvalidArgument", "the id must be 1 to 64 letters"),
        (wish(tag="x" * 501), "BadInvalidArgument", "more than 500 characters"),
        (wish(tag="hall/drive/sped"), "BadNodeIdUnknown", "there is no tag 'hall/drive/sped'"),
        (wish(tag="hall/drive/torque"), "BadNotWritable", "its configuration has no write: true"),
        (wish(expires_s=0.0), "BadRequestTimeout", "it had expired 0.000 s before it came"),
        (wish(expires_s=-1.5), "BadRequestTimeout", "it had expired 1.500 s before it came"),
        (wish(200.00000000000003), "BadOutOfRange", "200.00000000000003 is outside the limits of"),
        (wish(-1), "BadOutOfRange", "-1 is outside the limits of acme/test/hall/drive/speed: 0.0 to 200.0"),
        (wish(2**64), "BadOutOfRange", "the value is an integer of 65 bits"),
        (wish(10**5000), "BadOutOfRange", "the value is an integer of 16610 bits"),
        (wish(math.nan), "BadOutOfRange", "nan is not a number that a device can have"),
        (wish(-math.inf), "BadOutOfRange", "-inf is not a number that a device can have"),
        (wish("x" * (TEXT_MAX + 1), tag="hall/drive/recipe"), "BadOutOfRange", "more than 1000 characters"),
        (wish(True), "BadTypeMismatch", "takes a number, not True"),
        (wish("120"), "BadTypeMismatch", "takes a number, not '120'"),
        (wish(1, tag="hall/drive/enable"), "BadTypeMismatch", "has no limits, so no number is written to it"),
        (wish(None), "BadTypeMismatch", "the value must be a number, a text, true or false"),
        (wish([1]), "BadTypeMismatch", "the value must be a number, a text, true or false"),
    ],
    ids=lambda value: f"{str(value)[:40]}" if isinstance(value, str) else "",
)
def test_what_may_not_be_is_refused(request_: Request, code: str, detail: str) -> None:
    drive, result = once(request_)
    assert (result.status, name(result.code)) == ("refused", code)
    assert detail in result.detail
    assert drive.written == []


@pytest.mark.parametrize("state", ["connecting", "down", "stopped"])
def test_a_device_that_is_away_is_not_written(state: Any) -> None:
    def lose(hall: Hall) -> None:
        hall.health.state, hall.health.error = state, "no answer within 1 s"

    drive, result = once(wish(), lose)
    assert (result.status, name(result.code)) == ("refused", "BadNotConnected")
    assert result.detail == "the device drive is away: no answer within 1 s"
    assert drive.written == []


def test_what_does_not_fit_the_tag_is_refused_by_its_connector() -> None:
    def whole(hall: Hall) -> None:
        hall.drive.trouble = ValueError("0.5 is between two steps of 1")

    _, result = once(wish(0.5), whole)
    assert (result.status, name(result.code), result.detail) == (
        "refused", "BadOutOfRange", "0.5 is between two steps of 1",
    )  # fmt: skip


# --- failed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "tag", "keeps", "now"),
    [
        (120, "speed", lambda value: 50, "50"),
        (120, "speed", lambda value: math.nan, "nan"),
        (120, "speed", lambda value: None, "a NoneType"),
        (120, "speed", lambda value: "120", "'120'"),
        (2**24 + 1, "steps", lambda value: 2**24, "16777216"),
        (True, "enable", lambda value: False, "False"),
        ("A4", "recipe", lambda value: "A", "'A'"),
        ("1", "recipe", lambda value: 1.0, "1.0"),
    ],
)
def test_a_device_that_has_another_value_is_a_failure(value: Any, tag: str, keeps: Any, now: str) -> None:
    def clamp(hall: Hall) -> None:
        hall.drive.keeps = keeps

    _, result = once(wish(value, tag=f"hall/drive/{tag}"), clamp)
    assert (result.status, name(result.code)) == ("failed", "BadUnexpectedError")
    assert result.detail == f"it was written, but the device has {now} now"


def test_a_device_that_refuses_is_a_failure_for_its_own_reason() -> None:
    def locked(hall: Hall) -> None:
        hall.drive.trouble = DeviceError("exception 4 to function 6", Quality.BAD_DEVICE_FAILURE)

    _, result = once(wish(), locked)
    assert (result.status, name(result.code)) == ("failed", "BadDeviceFailure")
    assert result.detail == "the device refused it: exception 4 to function 6"


@settings(deadline=None)
@given(st.floats(0, 200))
def test_a_device_that_keeps_a_float32_has_what_was_wanted(value: float) -> None:
    def single(hall: Hall) -> None:
        hall.drive.keeps = lambda value: struct.unpack(">f", struct.pack(">f", value))[0]

    assert once(wish(value), single)[1].status == "done"


@pytest.mark.parametrize("kept", [np.float32(0.1), np.float64(0.1), 0.1])
def test_what_numpy_reads_back_is_a_plain_value(kept: Any) -> None:
    def keep(hall: Hall) -> None:
        hall.drive.keeps = lambda value: kept

    _, result = once(wish(0.1), keep)
    assert (result.status, type(result.read_back)) == ("done", float)


# --- unknown ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [(TimeoutError("no answer within 1 s"), "BadTimeout"), (ConnectionResetError("gone"), "BadNotConnected")],
)
def test_without_an_answer_nobody_knows(error: Exception, code: str) -> None:
    def break_(hall: Hall) -> None:
        hall.drive.trouble = error

    _, result = once(wish(), break_)
    assert (result.status, name(result.code)) == ("unknown", code)
    assert result.detail == f"nobody knows whether it was written: {error}"


@pytest.mark.parametrize(("expires_s", "ends_s"), [(None, WAIT_S), (5.0, 5.0), (1e6, WAIT_S)])
def test_a_device_that_never_answers_is_given_up(expires_s: float | None, ends_s: float) -> None:
    def stuck(hall: Hall) -> None:
        hall.drive.takes_s = 1e9

    _, result = once(wish(expires_s=expires_s), stuck)
    assert (result.status, name(result.code)) == ("unknown", "BadTimeout")
    assert result.time_ns == EPOCH_NS + round(ends_s * 1e9)


def test_a_write_that_is_cancelled_is_remembered_as_unknown() -> None:
    async def world() -> Result:
        hall = Hall(LoopClock())
        hall.drive.takes_s = 5.0
        async with asyncio.TaskGroup() as tasks:
            asker = tasks.create_task(hall.writes.write(wish()))
            await asyncio.sleep(1.0)
            asker.cancel()
        again = await hall.writes.write(wish())
        assert len(hall.drive.written) == 1
        return again

    assert simulate(world()).status == "unknown"


def test_a_bug_of_a_connector_is_not_hidden_and_not_repeated() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        hall.drive.trouble = KeyError("a bug")
        with pytest.raises(KeyError):
            await hall.writes.write(wish())
        assert (await hall.writes.write(wish())).status == "unknown"
        assert len(hall.drive.written) == 1

    simulate(world())


# --- one at a time ------------------------------------------------------------------------


def together(hall: Hall, *requests: Request) -> Coroutine[Any, Any, list[Result]]:
    async def run() -> list[Result]:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(hall.writes.write(request)) for request in requests]
        return [task.result() for task in asked]

    return run()


def test_one_tag_is_written_one_at_a_time_and_others_meanwhile() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        hall.drive.takes_s = 2.0
        results = await together(hall, wish(1, id="1"), wish(2, id="2"), wish(True, id="3", tag="hall/drive/enable"))
        assert [result.status for result in results] == ["done"] * 3
        assert [result.time_ns - EPOCH_NS for result in results] == [2_000_000_000, 4_000_000_000, 2_000_000_000]
        assert (hall.drive.busy_most, [value for _, value in hall.drive.written]) == (1, [1, True, 2])

    simulate(world())


def test_a_write_that_waits_too_long_for_its_turn_is_not_done() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        hall.drive.takes_s = 10.0
        _, late = await together(hall, wish(1, id="1"), wish(2, id="2", expires_s=9.0))
        assert (late.status, name(late.code)) == ("refused", "BadRequestTimeout")
        assert late.detail == "it expired while it waited for its turn"
        assert hall.drive.written == [(0, 1)]

    simulate(world())


def test_no_more_than_so_many_are_under_way() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        hall.drive.takes_s = 1e9
        results = await together(hall, *(wish(1, id=str(i)) for i in range(UNDER_WAY_MAX + 1)))
        found = Counter((result.status, name(result.code)) for result in results)
        assert found == {
            ("unknown", "BadTimeout"): 1,
            ("refused", "BadRequestTimeout"): UNDER_WAY_MAX - 1,
            ("refused", "BadTooManyOperations"): 1,
        }

    simulate(world())


# --- each id once -------------------------------------------------------------------------


def test_the_same_id_again_gets_the_first_answer_whatever_it_was() -> None:
    hall, (first, again) = written(wish(), wish())
    assert (again, len(hall.drive.written)) == (first, 1)
    hall, (first, again) = written(wish(999), wish(999))
    assert (again, first.status) == (first, "refused")


@pytest.mark.parametrize("other", [wish(121), wish(tag="hall/drive/steps"), wish(who="mes")])
def test_the_same_id_for_something_else_is_refused(other: Request) -> None:
    hall, (first, refused, again) = written(wish(), other, wish())
    assert (refused.status, name(refused.code)) == ("refused", "BadEntryExists")
    assert (again, hall.drive.written) == (first, [(0, 120)])


def test_true_is_not_the_number_one() -> None:
    _, (_, refused) = written(wish(True, tag="hall/drive/enable"), wish(1, tag="hall/drive/enable"))
    assert name(refused.code) == "BadEntryExists"


def test_a_repetition_need_not_repeat_how_the_path_or_the_expiry_was_written() -> None:
    hall, (first, again) = written(wish(expires_s=5), wish(tag="hall/drive/speed", expires_s=-5))
    assert (again, len(hall.drive.written)) == (first, 1)


def test_whoever_may_not_write_cannot_take_an_id() -> None:
    hall, (_, _, done) = written(wish(who="spy"), wish(math.nan), wish())
    assert (done.status, len(hall.drive.written)) == ("done", 1)


def test_a_result_is_known_by_its_id_also_while_it_is_under_way() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        hall.drive.takes_s = 2.0
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(hall.writes.write(wish()))
            await asyncio.sleep(1.0)
            found = await hall.writes.result("a")
            assert (await asked, found.status) == (found, "done")
        assert await hall.writes.result("a") == found
        with pytest.raises(KeyError):
            await hall.writes.result("b")

    simulate(world())


def test_results_are_forgotten_after_an_hour() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        await hall.writes.write(wish())
        await asyncio.sleep(KEPT_S)
        assert (await hall.writes.result("a")).status == "done"
        await asyncio.sleep(1.0)
        with pytest.raises(KeyError):
            await hall.writes.result("a")

    simulate(world())


def test_results_are_forgotten_when_there_are_too_many() -> None:
    async def world() -> None:
        hall = Hall(LoopClock())
        for i in range(KEPT_MAX + 5):
            await hall.writes.write(wish(999, id=str(i)))
        with pytest.raises(KeyError):
            await hall.writes.result("4")
        assert (await hall.writes.result("5")).status == "refused"

    simulate(world())


TROUBLES = [None, TimeoutError("silent"), DeviceError("no", Quality.BAD_DEVICE_FAILURE), ConnectionResetError("gone")]
ASKED = st.tuples(
    st.integers(0, 3),  # id
    st.sampled_from(["speed", "steps"]),
    st.integers(0, 3),  # value
    st.floats(0, 20),  # when it comes
    st.one_of(st.none(), st.floats(0, 20)),  # after how long its asker goes away
)


@settings(deadline=None, max_examples=300)
@given(st.lists(ASKED, max_size=12), st.floats(0, 12), st.sampled_from(TROUBLES))
def test_no_id_is_written_twice_whatever_the_interleaving(
    asked: list[tuple[int, str, int, float, float | None]], takes_s: float, trouble: Exception | None
) -> None:
    async def ask(hall: Hall, request: Request, at_s: float, patience_s: float | None) -> Result | None:
        await asyncio.sleep(at_s)
        try:
            async with asyncio.timeout(patience_s):
                return await hall.writes.write(request)
        except TimeoutError:
            return None

    async def world() -> None:
        hall = Hall(LoopClock())
        hall.drive.takes_s, hall.drive.trouble = takes_s, trouble
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(ask(hall, wish(100 * id + value, id=str(id), tag=f"hall/drive/{tag}"), at, patience))
                for id, tag, value, at, patience in asked
            ]
        sent = Counter(value // 100 for _, value in hall.drive.written)
        assert all(n == 1 for n in sent.values())
        assert hall.drive.busy_most <= 1
        results = [result for task in running if (result := task.result()) is not None]
        for result in results:
            if name(result.code) != "BadEntryExists":
                assert await hall.writes.result(result.id) == result
            if result.status in ("done", "failed"):
                assert sent[int(result.id)] == 1

    simulate(world())


# --- the audit trail ----------------------------------------------------------------------


def test_every_request_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    written(wish(), wish(), wish(121), wish(who="spy"))
    path = "'acme/test/hall/drive/speed'"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"write 'a' of {path} = 120 by 'erp': done, Good"),
        ("INFO", "write a was asked for again by erp and not repeated"),
        (
            "WARNING",
            f"write 'a' of {path} = 121 by 'erp': refused, BadEntryExists (the id a was given to another request)",
        ),
        (
            "WARNING",
            f"write 'a' of {path} = 120 by 'spy': refused, BadUserAccessDenied (spy is not one of api.writers)",
        ),
    ]


@pytest.mark.parametrize("text", ["x\nWARNING write 'b'", "x" * 100_000, "\ud800", "\x1b[2J"])
def test_nobody_can_forge_or_flood_the_log(text: str, caplog: pytest.LogCaptureFixture) -> None:
    def quote(hall: Hall) -> None:
        hall.drive.trouble = ValueError(f"{text} does not fit")

    short = text[:400]
    written(wish(text, id=text, tag=text), wish(text, tag="hall/drive/speed"), wish(tag=f"a/{short}"))
    written(wish(short, tag="hall/drive/recipe"), prepare=quote)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert all(line.isprintable() and len(line) < 800 for line in lines)
