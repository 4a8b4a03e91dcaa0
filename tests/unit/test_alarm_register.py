"""The register: what readings, servers and people do to alarms, what is told of it, and what a restart leaves."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.alarms.alarm import Answer
from gateway.alarms.states import Deed, State
from gateway.model import Quality
from tests.alarms import ASSET, HIGH, LATCHED, SECOND_NS, SLOW, Room, room
from tests.simulation.loop import EPOCH_NS, LoopClock, simulate

ACK = Answer(Deed.ACKNOWLEDGE, "ann", "seen")
TRIP = f"{ASSET}/server"


@pytest.fixture
def tank(tmp_path: Path) -> Iterator[Room]:
    with room(tmp_path) as opened:
        yield opened


async def told(tank: Room) -> list[str]:
    """Have what is not told told, as `tell` does, and return what that was."""
    before = len(tank.events)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await tank.keeper.tell(tank.emit, lambda: 0, lambda: None)
    events = tank.events[before:]
    if events:
        await tank.keeper.write(tank.records)
    return [f"{event['SourceName']} {event['Deed']}: {event['From']} to {event['To']}" for event in events]


async def test_an_alarm_from_raise_to_normal(tank: Room) -> None:
    await tank.say("level", 7.0)
    tank.clock.ns += SECOND_NS
    assert await told(tank) == ["level raise: normal to unacknowledged"]
    event = tank.events[-1]
    assert event | {
        "EventType": "NonExclusiveLimitAlarmType", "Severity": 500, "Priority": "medium", "ConditionName": "high",
        "ConditionId": HIGH.id, "Retain": True, "ActiveState": True, "AckedState": False, "Value": 7.0, "Limit": 5.0,
        "Quality": "Good", "Time": "1970-01-01T00:16:40.000000Z", "ShelvingState": "Unshelved",
    } == event  # fmt: skip
    assert await tank.keeper.answer([HIGH.id], ACK) == []
    await tank.say("level", 2.0)
    assert await told(tank) == [
        "level acknowledge: unacknowledged to acknowledged",
        "level clear: acknowledged to normal",
    ]
    assert [tank.events[-2][name] for name in ("ClientUserId", "Comment")] == ["ann", "seen"]
    assert tank.events[-1]["Retain"] is False
    history = await tank.keeper.happened(HIGH.id, 1 << 60, 10)
    assert [event["Deed"] for _, event in history] == ["clear", "acknowledge", "raise"]


async def test_an_occurrence_that_is_over_cannot_be_acknowledged_and_unknown_ones_are_a_key_error(tank: Room) -> None:
    await tank.say("level", 7.0)
    stale = (await tank.alarm(HIGH.id)).event
    await tank.say("level", 1.0)
    await tank.say("level", 8.0)
    refused = await tank.keeper.answer([HIGH.id, SLOW.id], Answer(Deed.ACKNOWLEDGE, "ann", event=stale))
    assert [id for id, _ in refused] == [HIGH.id, SLOW.id]
    assert "look at it again" in refused[0][1]
    with pytest.raises(KeyError):
        await tank.keeper.answer([HIGH.id, "hall/nothing"], ACK)
    assert (await tank.alarm(HIGH.id)).condition.state is State.UNACKNOWLEDGED, "all or none is known"


async def test_a_bad_value_keeps_the_state_and_the_register_says_that_it_is_not_certain(tank: Room) -> None:
    await tank.say("level", 7.0)
    assert (await tank.keeper.one(HIGH.id))[1]
    await tank.say("level", 0.0, Quality.BAD_NOT_CONNECTED)
    alarm, certain = await tank.keeper.one(HIGH.id)
    assert (alarm.condition.active, certain) == (True, False)


async def test_shelving_ends_by_itself_and_not_later_than_may_be(tank: Room) -> None:
    await tank.say("level", 7.0)
    shelve = Answer(Deed.SHELVE, "ann", "known", for_ns=60 * SECOND_NS)
    assert await tank.keeper.answer([HIGH.id], shelve) == []
    tank.clock.ns += 59 * SECOND_NS
    await told(tank)
    assert (await tank.alarm(HIGH.id)).condition.state is State.SHELVED
    tank.open()
    tank.clock.ns += SECOND_NS
    assert await told(tank) == ["level unshelve: shelved to unacknowledged"]
    too_long = Answer(Deed.SHELVE, "ann", for_ns=10**15)
    assert "28800 s at most" in (await tank.keeper.answer([HIGH.id], too_long))[0][1]


async def test_what_is_hidden_is_kept_but_nobody_was_told(tank: Room) -> None:
    await tank.keeper.answer([HIGH.id], Answer(Deed.SUPPRESS, "eve"))
    await tank.say("level", 7.0)
    assert (await tank.keeper.performance(0, tank.clock.ns + 1))["alarms"] == 0
    await tank.keeper.answer([HIGH.id], Answer(Deed.UNSUPPRESS, "eve"))
    await tank.say("level", 1.0)
    await tank.say("level", 7.0)
    assert (await tank.keeper.performance(0, tank.clock.ns + 1))["alarms"] == 1


async def test_a_latched_alarm_stays_until_it_is_reset_also_over_a_restart(tank: Room) -> None:
    await tank.say("heat", 10.0)
    await tank.say("heat", 1.0)
    tank.open()
    assert (await tank.alarm(LATCHED.id)).condition.state is State.LATCHED_UNACKNOWLEDGED
    await tank.say("heat", 10.0)
    assert (await tank.alarm(LATCHED.id)).condition.state is State.UNACKNOWLEDGED
    await tank.say("heat", 1.0)
    await tank.keeper.answer([LATCHED.id], Answer(Deed.RESET, "ann"))
    await tank.keeper.answer([LATCHED.id], ACK)
    assert (await tank.alarm(LATCHED.id)).condition.state is State.NORMAL


def test_a_delay_is_over_and_told_though_nothing_comes(tmp_path: Path) -> None:
    async def world() -> None:
        with room(tmp_path) as tank:
            tank.clock = LoopClock()  # type: ignore[assignment]  # it stands for the clock of the test
            tank.open()
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(tank.keeper.tell(tank.emit, lambda: 0, lambda: None))
                await tank.say("flow", 0.5)
                await asyncio.sleep(4.9)
                assert len(tank.events) == 0
                await asyncio.sleep(1.0)
                assert [event["Time"] for event in tank.events] == ["2026-01-05T06:00:05.000000Z"]
                telling.cancel()

    assert EPOCH_NS == 1_767_592_800 * SECOND_NS
    simulate(world())


async def test_what_was_not_told_before_a_crash_is_told_after_it_and_only_that(tank: Room) -> None:
    await tank.say("level", 7.0)
    assert len(await told(tank)) == 1
    await tank.say("heat", 10.0)
    tank.open()
    await tank.keeper.write(tank.records)
    assert await told(tank) == ["heat raise: normal to unacknowledged"]
    tank.open()
    await tank.keeper.write(tank.records)
    assert await told(tank) == []


async def test_a_rule_that_is_gone_ends_its_alarm(tank: Room, tmp_path: Path) -> None:
    await tank.say("heat", 10.0)
    await tank.say("heat", 1.0)
    await told(tank)
    tank.rules = (HIGH, SLOW)
    tank.open()
    assert await told(tank) == [
        "heat reset: latched_unacknowledged to returned",
        "heat acknowledge: returned to normal",
    ]
    assert [alarm.about.id for alarm, _ in await tank.keeper.listed(lambda _: True)] == [HIGH.id, SLOW.id]


# --- alarms of others ----------------------------------------------------------------------------


def trip(**more: Any) -> dict[str, Any]:
    """What a server says of a motor."""
    names = {"SourceName": "Motor 1", "ConditionName": "Trip", "ConditionId": "ns=2;i=7", "Message": "tripped"}
    states = {"Retain": True, "ActiveState": True, "AckedState": False}
    return {"EventId": "b64", "Severity": 700} | names | states | more


TRIP_ID = "hall/tank/server/motor_1/trip"


async def test_an_alarm_of_a_signal_is_listed_shelved_and_acknowledged_here(tank: Room) -> None:
    await tank.say("server", trip())
    alarm = await tank.alarm(TRIP_ID)
    assert (alarm.about.priority, alarm.about.text, alarm.condition.state) == ("high", "tripped", State.UNACKNOWLEDGED)
    assert await tank.keeper.elsewhere(TRIP_ID) == ("", "b64")
    assert await told(tank) == [], "it is told already"
    await tank.keeper.answer([TRIP_ID], Answer(Deed.SHELVE, "ann"))
    await tank.keeper.answer([TRIP_ID], Answer(Deed.UNSHELVE, "ann"))
    await tank.keeper.answer([TRIP_ID], ACK)
    assert [word.split(":")[0] for word in await told(tank)] == [
        "Motor 1 shelve", "Motor 1 unshelve", "Motor 1 acknowledge"
    ]  # fmt: skip
    tank.open()
    assert (await tank.alarm(TRIP_ID)).condition.state is State.ACKNOWLEDGED
    await tank.say("server", trip(ActiveState=False, Retain=False, EventId="b65"))
    with pytest.raises(KeyError):
        await tank.alarm(TRIP_ID)


async def test_an_alarm_of_a_server_is_acknowledged_there(tmp_path: Path) -> None:
    with room(tmp_path, methods=[f"{TRIP}/acknowledge"]) as tank:
        await tank.say("server", trip())
        assert await tank.keeper.elsewhere(TRIP_ID) == (f"{TRIP}/acknowledge", "b64")
        await tank.say("server", trip(AckedState=True, EventId="b65"))
        assert (await tank.alarm(TRIP_ID)).condition.state is State.ACKNOWLEDGED
        assert (await tank.keeper.elsewhere(TRIP_ID))[1] == "b65"
        await tank.say("server", trip(AckedState=True, ActiveState=False, Retain=False, EventId="b66"))
        history = await tank.keeper.happened(TRIP_ID, 1 << 60, 10)
        assert [event["Deed"] for _, event in history] == ["clear", "acknowledge", "raise"]
        assert await told(tank) == []


async def test_two_conditions_of_one_name_are_two_alarms_and_branches_are_none(tank: Room) -> None:
    await tank.say("server", trip())
    await tank.say("server", trip(ConditionId="ns=2;i=8"))
    await tank.say("server", trip(ConditionName="Other", BranchId="ns=2;i=9"))
    await tank.say("server", {"Message": "started"})
    ids = [alarm.about.id for alarm, _ in await tank.keeper.listed(lambda _: True) if alarm.about.foreign]
    assert ids[0] == TRIP_ID
    assert len(ids) == 2
    assert ids[1].startswith(f"{TRIP_ID}-")


async def test_the_last_event_once_more_because_a_device_fell_silent_is_no_news(tank: Room) -> None:
    await tank.say("server", trip(), Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE)
    with pytest.raises(KeyError):
        await tank.alarm(TRIP_ID)


async def test_a_disk_that_fails_is_a_connection_error_and_nothing_is_lost(tank: Room) -> None:
    tank.file._db.execute("PRAGMA query_only = 1")
    with pytest.raises(ConnectionError, match="alarms cannot be written"):
        await tank.say("level", 7.0)
    tank.file._db.execute("PRAGMA query_only = 0")
    await tank.keeper.write(tank.records)
    assert await told(tank) == ["level raise: normal to unacknowledged"]
