"""The ledger: what a device owes and brings, why readings are missing, what a pause is; pages; damage."""

import asyncio
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import api.ledger
from gateway.contracts import DeviceError, Emit
from gateway.hub import Hub
from gateway.journal import Journal, JournalFile
from gateway.latest import Latest
from gateway.ledger import Ledger, LedgerFile
from gateway.ledger.account import cause_of
from gateway.ledger.file import Key
from gateway.ledger.row import Delivery, Gap, Pause, Row
from gateway.model import Batch, Catalog, Quality, Tag
from gateway.payload import timestamps
from gateway.supervise import Backoff, Health, keep_device
from tests.inline import inline
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS
TAGS = np.arange(10, dtype=np.uint32)
CATALOG = [Tag("hall/press", f"t{n}", device="press", address=f"{40001 + n} = holding:{n} uint16 ABCD") for n in TAGS]

Script = Callable[["Press", Emit], Coroutine[Any, Any, None]]


class Press:
    """A connector of ten tags, polled every second, that does what a script says."""

    polls: Sequence[tuple[float, int]] = [(1.0, 10)]
    causes: Mapping[int, str] = {Quality.BAD_NODE_ID_UNKNOWN: "exception 2"}

    def __init__(self, script: Script) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}
        self._script = script

    async def run(self, emit: Emit) -> None:
        await self._script(self, emit)

    async def poll(self, emit: Emit, quality: Any = 0, tags: Any = TAGS, polls: int = 1) -> None:
        """Poll with this result, so many times."""
        for _ in range(polls):
            self.counts["readings_due"] += 10
            emit(Batch.of(tags, LoopClock().now_ns(), 1.0, quality))
            await asyncio.sleep(1.0)


class Server(Press):
    """The same as a subscription."""

    polls = ()


@asynccontextmanager
async def living(
    folder: Path, connector: Any, kind: type[JournalFile] = JournalFile
) -> AsyncIterator[tuple[Ledger, Journal]]:
    """A gateway of one device, as the application wires it, without sinks."""
    catalog = Catalog()
    file = kind(folder / "journal.db")
    file.load(catalog)
    for tag in CATALOG:
        catalog.add(tag)
    file.save(catalog)
    books = LedgerFile(folder / "ledger.db")
    ledger = Ledger(books, inline, catalog, LoopClock(), retention_s=1e9)
    journal = Journal(file, inline, LoopClock(), witness=ledger)
    ledger.begin(file, journal, {"press": connector})
    latest = Latest(len(catalog))
    hub, health, chance = Hub(catalog, latest, journal), Health("device press"), random.Random(0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        books_kept = tasks.create_task(ledger.run(lambda: None))
        device = tasks.create_task(
            keep_device(
                connector, TAGS, hub, latest, health, clock=LoopClock(), chance=chance,
                backoff=Backoff(4.0, 4.0), books=ledger.accounts["press"],
            )
        )  # fmt: skip
        yield ledger, journal
        device.cancel()
        await asyncio.sleep(0.01)
        journal.close()
        books_kept.cancel()
    await ledger.end()
    file.close()
    books.close()


def rows(folder: Path, start: int = 0, end: int = 1 << 62, after: Key = (0, ""), rows_max: int = 1000) -> list[Row]:
    file = LedgerFile(folder / "ledger.db")
    found = file.rows("", start, end, after, rows_max)
    file.close()
    return [row for _, row in found]


def told(folder: Path, script: Script, seconds: float, kind: type[Press] = Press) -> list[Row]:
    """The rows of a device that does this for a while."""

    async def story() -> None:
        async with living(folder, kind(script)):
            await asyncio.sleep(seconds)

    simulate(story())
    found = rows(folder)
    for row in found:
        row.gaps.pop("gateway stopped", None)  # the last hundredth of a second
    return found


# --- what came and why it did not ---------------------------------------------------------


def test_what_is_polled_is_expected_and_what_came_is_good(tmp_path: Path) -> None:
    async def works(press: Press, emit: Emit) -> None:
        await press.poll(emit, polls=1000)

    first, second = told(tmp_path, works, 90.5)
    assert (first.expected, first.good, first.bad, first.gaps) == (600, 600, 0, {})
    assert (second.expected, second.good) == (310, 310)


def test_a_refused_register_is_a_gap_with_the_words_of_the_protocol(tmp_path: Path) -> None:
    async def refuses(press: Press, emit: Emit) -> None:
        quality = np.where(TAGS >= 7, Quality.BAD_NODE_ID_UNKNOWN, 0)
        await press.poll(emit, quality, polls=1000)

    (row,) = told(tmp_path, refuses, 30.5)
    assert (row.expected, row.good, row.bad) == (310, 217, 93)
    assert row.gaps == {"exception 2": Gap(93, times=31, where="holding:7 uint16 ABCD")}
    assert row.unexplained == 0


def test_a_device_that_is_lost_owes_every_poll_until_it_is_back(tmp_path: Path) -> None:
    """Ten polls; the eleventh fails; then refused for eleven polls' time, with the failed run's own poll in between."""
    runs = iter(range(3))

    async def breaks(press: Press, emit: Emit) -> None:
        if next(runs) == 1:
            raise ConnectionRefusedError(111, "refused")
        await press.poll(emit, polls=10)
        press.counts["readings_due"] += 10
        raise TimeoutError("no answer")

    (row,) = told(tmp_path, breaks, 20.0)
    assert row.good == 100 + 10 * (row.good // 10 - 10)
    assert set(row.gaps) >= {"timeout", "not connected: ECONNREFUSED"}
    assert row.gaps["timeout"].readings >= 10
    assert row.expected == row.good + sum(gap.readings for gap in row.gaps.values())
    assert abs(row.expected - 200) <= 10


def test_the_requests_that_a_silent_device_was_not_asked_any_more_are_a_timeout_too(tmp_path: Path) -> None:
    async def falls_silent(press: Press, emit: Emit) -> None:
        await press.poll(emit, polls=3)
        press.counts["readings_due"] += 10
        emit(Batch.of(TAGS[:4], LoopClock().now_ns(), np.nan, Quality.BAD_TIMEOUT))
        raise TimeoutError("no answer")

    (row,) = told(tmp_path, falls_silent, 3.5)
    assert (row.expected, row.good) == (40, 30)
    assert sum(gap.readings for gap in row.gaps.values()) == 10


def test_what_a_lost_device_is_said_to_be_is_bad_and_not_expected(tmp_path: Path) -> None:
    async def is_away(press: Press, emit: Emit) -> None:
        raise ConnectionRefusedError(111, "refused")

    (row,) = told(tmp_path, is_away, 30.0)
    assert (row.good, row.bad) == (0, 10)
    assert row.expected == sum(gap.readings for gap in row.gaps.values()) == 300
    assert row.gaps["not connected: ECONNREFUSED"].seconds == pytest.approx(30.0, abs=0.1)


@pytest.mark.parametrize(
    ("blocks", "cause"), [(False, "poll skipped: the one before was late"), (True, "journal full: polls waited")]
)
def test_polls_that_were_skipped_have_their_reason(tmp_path: Path, blocks: bool, cause: str) -> None:
    async def story() -> None:
        async def is_late(press: Press, emit: Emit) -> None:
            await press.poll(emit)
            press.counts["readings_skipped"] += 40
            journal.blocks += blocks
            await press.poll(emit, polls=3)

        async with living(tmp_path, Press(is_late)) as (_, journal):
            await asyncio.sleep(3.0)

    simulate(story())
    (row,) = rows(tmp_path)
    assert row.gaps[cause] == Gap(40, times=1)


def test_what_comes_late_from_a_history_was_due_in_another_minute(tmp_path: Path) -> None:
    async def recovers(press: Press, emit: Emit) -> None:
        await press.poll(emit)
        emit(replace(Batch.of(TAGS, LoopClock().now_ns(), 1.0), historical=True))
        await press.poll(emit, polls=9)

    (row,) = told(tmp_path, recovers, 9.5)
    assert (row.expected, row.good, row.recovered, row.came) == (100, 100, 10, 110)


def test_a_subscription_has_no_expectation_but_lost_notifications(tmp_path: Path) -> None:
    async def loses(press: Press, emit: Emit) -> None:
        emit(Batch.of(TAGS, LoopClock().now_ns(), 1.0))
        press.counts["notifications_lost"] += 3
        emit(Batch.of(TAGS[:2], LoopClock().now_ns(), 2.0))
        await asyncio.sleep(10.0)
        raise DeviceError("gone", Quality.BAD_COMMUNICATION_ERROR)

    (row,) = told(tmp_path, loses, 12.0, Server)
    assert (row.expected, row.good) == (None, 12)
    assert row.gaps["notifications lost"] == Gap(times=3)
    lost = row.gaps["device error: BadCommunicationError"]
    assert (lost.readings, lost.times) == (0, 1)
    assert lost.seconds == pytest.approx(2.0, abs=0.1)
    described = row.described()
    assert (described["expected"], described["unexplained"]) == (None, None)
    assert [gap["readings"] for gap in described["gaps"]] == [None, None, None][: len(described["gaps"])]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (TimeoutError("x"), "timeout"),
        (ConnectionResetError(104, "reset"), "not connected: ECONNRESET"),
        (ConnectionError("closed"), "not connected: ConnectionError"),
        (DeviceError("x", Quality.BAD_USER_ACCESS_DENIED), "device error: BadUserAccessDenied"),
        (ZeroDivisionError("x"), "a bug of the gateway: ZeroDivisionError"),
    ],
)
def test_causes_are_the_same_words_every_time(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


# --- from one life to the next ------------------------------------------------------------


def test_the_time_without_a_gateway_is_a_gap_of_every_minute(tmp_path: Path) -> None:
    async def works(press: Press, emit: Emit) -> None:
        await press.poll(emit, polls=1000)

    async def story() -> None:
        async with living(tmp_path, Press(works)):
            await asyncio.sleep(30.5)
        await asyncio.sleep(150.0)
        async with living(tmp_path, Press(works)):
            await asyncio.sleep(10.5)

    simulate(story())
    first, second, third, last = rows(tmp_path)
    assert [row.good for row in (first, second, third, last)] == [310, 0, 0, 110]
    for row in (second, third):
        assert row.expected == row.gaps["gateway stopped"].readings
        assert row.gaps["gateway stopped"].seconds == 60.0
    stopped = [row.gaps["gateway stopped"] for row in (first, second, third, last)]
    assert sum(gap.readings for gap in stopped) in (1490, 1500)
    assert sum(gap.seconds for gap in stopped) == pytest.approx(150.0, abs=0.1)


class FullDisk(JournalFile):
    """A journal's file that takes nothing after half a minute."""

    def commit(self, *what: Any) -> int:
        if LoopClock().now_ns() - EPOCH_NS > 30_000_000_000 and what[0]:
            raise sqlite3.OperationalError("database or disk is full")
        return super().commit(*what)


def test_what_waited_for_the_disk_when_the_gateway_was_killed_is_part_of_the_pause(tmp_path: Path) -> None:
    async def works(press: Press, emit: Emit) -> None:
        await press.poll(emit, polls=1000)

    async def story() -> None:
        async with living(tmp_path / "a", Press(works), FullDisk):
            await asyncio.sleep(200.0)
            shutil.copytree(tmp_path / "a", tmp_path / "b")
        async with living(tmp_path / "b", Press(works)):
            await asyncio.sleep(10.0)

    simulate(story())
    found = rows(tmp_path / "b")
    assert len(found) == 4
    assert all(row.expected == row.good + sum(gap.readings for gap in row.gaps.values()) for row in found)
    assert sum(row.gaps["gateway killed"].seconds for row in found) == pytest.approx(171.0, abs=3.0)
    assert found[1].expected == found[1].gaps["gateway killed"].readings == 600


# --- rows ---------------------------------------------------------------------------------


def test_a_row_has_room_for_some_causes_and_adds_up_the_others() -> None:
    row = Row(100)
    for n in range(40):
        row.gap(f"cause {n}", Gap(1, times=1))
    assert len(row.gaps) == 17
    assert row.gaps["others"] == Gap(24, times=24)
    assert row.unexplained == 60


def test_what_waits_is_what_came_and_is_neither_delivered_nor_dropped() -> None:
    row = Row(10, 6, 2, 0, {"bus": Delivery(3, 1, 0.25, "refused")}, {"timeout": Gap(2, 1.5, 1)})
    described = row.described()
    assert described["sinks"] == {
        "bus": {"delivered": 3, "dropped": 1, "late_s": 0.25, "down": "refused", "waiting": 4}
    }
    assert described["unexplained"] == 2


def test_what_a_sink_gives_up_is_in_the_row_of_that_minute_with_cause_and_range(tmp_path: Path) -> None:
    async def story() -> None:
        async with living(tmp_path, Press(_waits)) as (ledger, _):
            ledger.gave_up("historian", "press", "history full: readings", 3600, (EPOCH_NS - HOUR_NS, EPOCH_NS))
            await ledger.keep()  # what comes after it is written is added to it
            ledger.gave_up("historian", "press", "history full: readings", 10, (EPOCH_NS - 2 * HOUR_NS, EPOCH_NS - 1))
            ledger.gave_up("historian", "press", "history full: roll-ups", 1, (0, MINUTE_NS))
            ledger.gave_up("historian", "nobody", "history full: readings", 1, (0, 1))

    simulate(story())
    (row,) = rows(tmp_path)
    assert row.unexplained == 0
    said = row.described()["sinks"]["historian"]
    assert api.ledger.Sink(**said).model_dump(by_alias=True)["given_up"] == said["given_up"]
    assert said == {
        "delivered": 0,
        "waiting": 0,
        "given_up": [
            {"cause": "history full: readings", "count": 3610} | stretch(EPOCH_NS - 2 * HOUR_NS, EPOCH_NS),
            {"cause": "history full: roll-ups", "count": 1} | stretch(0, MINUTE_NS),
        ],
    }


async def _waits(press: Press, emit: Emit) -> None:
    await asyncio.Event().wait()


def stretch(*time_ns: int) -> dict[str, str]:
    return dict(zip(("from", "to"), timestamps(np.array(time_ns)), strict=True))


def test_the_minutes_of_a_pause_add_up_to_whole_polls() -> None:
    begin = EPOCH_NS + 17_300_000_000
    pause = Pause(begin, begin + 200_000_000_000, "gateway killed", {"press": [(7.0, 3), (0.25, 1)]})
    parts = [pause.row(EPOCH_NS + n * MINUTE_NS, "press") for n in range(4)]
    assert sum(row.expected or 0 for row in parts) == 3 * 28 + 800
    assert sum(row.gaps["gateway killed"].seconds for row in parts) == pytest.approx(200.0)
    assert sum(row.gaps["gateway killed"].times for row in parts) == 1


def test_pages_follow_each_other_without_a_row_twice_or_missing(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    some = {(n * MINUTE_NS, name): Row(10, n) for n in (1, 2, 5, 6) for name in ("a", "c")}
    pause = Pause(2 * MINUTE_NS + 1, 4 * MINUTE_NS + 5, "gateway stopped", {"a": [(1.0, 1)], "b": []})
    file.add("j", some, {"": 1}, 0, pause=pause)
    keys: list[Key] = []
    while page := file.rows("", MINUTE_NS, 6 * MINUTE_NS, keys[-1] if keys else (0, ""), 2):
        keys += [key for key, _ in page]
    expected = {(n, name) for n in (1, 2, 5) for name in ("a", "c")} | {(n, name) for n in (2, 3, 4) for name in "ab"}
    assert keys == sorted((n * MINUTE_NS, name) for n, name in expected)
    assert [key for key, _ in file.rows("b", 0, 1 << 62, (0, ""), 9)] == [(n * MINUTE_NS, "b") for n in (2, 3, 4)]
    (_, both), *_ = file.rows("a", 2 * MINUTE_NS, 3 * MINUTE_NS, (0, ""), 9)
    assert (both.good, both.expected) == (2, 10 + 59)
    file.forget(5 * MINUTE_NS + 1)
    assert [key for key, _ in file.rows("", 0, 1 << 62, (0, ""), 99)] == [
        (n * MINUTE_NS, name) for n in (5, 6) for name in ("a", "c")
    ]
    file.close()


def test_a_damaged_ledger_is_set_aside_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    file = LedgerFile(tmp_path / "ledger.db")
    assert (file.journal, file.reached) == ("", {})
    file.close()
    assert "set aside as ledger.db.damaged-1" in caplog.text
