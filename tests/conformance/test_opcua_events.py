"""Events and conditions of a real server: each once, whatever happens to the line, the server or the gateway."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest
from asyncua import Server, ua
from asyncua.common import event_objects
from asyncua.server.event_generator import EventGenerator

from connectors import opcua
from gateway.clock import SystemClock
from gateway.contracts import Caller, Connector, Device
from gateway.model import Tag
from gateway.model.method import Called
from tests import servers
from tests.conformance.test_connectors import Heard, again_and_again, running

URI = "urn:test:events"
AT = datetime(2026, 1, 5, 6, 0, 0, 123_456, tzinfo=UTC)
AT_NS = 1_767_592_800_123_456_000


class Machine:
    """A server that reports what a test says. Its conditions are of node `name` in its namespace."""

    def __init__(self, *, conditions: bool = True) -> None:
        self.port = servers.free_port()
        self.at = AT
        self._conditions = conditions
        self._server = Server()
        self._alarms: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        server = self._server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        assert await server.register_namespace(URI) == 2
        if self._conditions:
            server.iserver.bind_condition_methods = 500
            await server.iserver.setup_condition_methods()
        await server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def add(self, name: str, value: ua.Variant) -> None:
        """Add a variable."""
        place, shown = ua.NodeId(ua.String(name), ua.Int16(2)), ua.QualifiedName(name, 2)
        await self._server.nodes.objects.add_variable(place, shown, value)

    async def report(self, event: Any, message: str) -> None:
        """Report an event of asyncua's, or of a type by name, which happened at `at`."""
        if isinstance(event, str):
            event = getattr(event_objects, event)()
        generator = EventGenerator(self._server.iserver.isession)
        await generator.init(event)
        await generator.trigger(self.at, message)

    async def happen(self, message: str, severity: int = 500) -> None:
        await self.report(event_objects.BaseEvent(message=message, severity=severity), message)  # type: ignore[no-untyped-call]  # asyncua says no types

    async def alarm(self, name: str, *, active: bool, acked: bool, message: str = "") -> None:
        """Report the state of an alarm; it is retained while it is active or not acknowledged."""
        alarm = self._alarms.setdefault(name, event_objects.AlarmCondition())  # type: ignore[no-untyped-call]  # nor here
        alarm.add_property("NodeId", ua.NodeId(ua.String(name), ua.Int16(2)), ua.VariantType.NodeId)
        alarm.ConditionName, alarm.SourceName = "HighLevel", name
        for state, value in {"EnabledState": True, "ActiveState": active, "AckedState": acked}.items():
            setattr(alarm, f"{state}/Id", value)
        alarm.LastSeverity = ua.StatusCode(ua.UInt32(0x8034_0000))  # what some say of a field that they do not have
        alarm.data_types["LastSeverity"] = ua.VariantType.StatusCode
        alarm.Retain = active or not acked
        alarm.Quality = ua.StatusCode(ua.UInt32(0x4095_0000))
        alarm.Severity = 700
        await self.report(alarm, message or f"{name}: active {active}, acknowledged {acked}")


@asynccontextmanager
async def machine(*, conditions: bool = True) -> AsyncIterator[Machine]:
    one = Machine(conditions=conditions)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


def build(url: str, learned: Any = None, **keys: Any) -> tuple[Connector, Heard]:
    """A connector whose tag `alarms` is what the server reports."""
    device = Device(
        name="d",
        url=url,
        options=opcua.DeviceOptions(publishing=0.05, sampling=0.05, timeout=1.0),
        tags=[Tag("plant/d", "alarms")],
        numbers=np.arange(1, dtype=np.uint32),
        tag_options=[opcua.TagOptions(**({"events": "i=2253"} | keys))],
        learned=learned or {},
    )
    return opcua.connector(device, SystemClock()), Heard(["alarms"])


def told(heard: Heard) -> list[Any]:
    """All that was told of the tag, in order."""
    return [value for batch in heard.batches for value in batch.value.tolist()]


def messages(heard: Heard) -> list[str]:
    return [value["Message"] for value in told(heard) if isinstance(value, dict)]


def more_messages(heard: Heard, than: int) -> bool:
    return len(messages(heard)) > than


def so_many_messages(heard: Heard, n: int) -> bool:
    return len(messages(heard)) == n


def began(heard: Heard, times: int) -> bool:
    """Whether it was told so often that somebody listens."""
    return told(heard).count(None) == times


async def listening(heard: Heard) -> None:
    await heard.until(lambda: heard.quality.get("alarms") == 0x00A5_0000)


async def repeated(server: Machine, connector: Connector, heard: Heard, n: int) -> None:
    """Report events until a refresh has told conditions again that are known."""
    while connector.counts["events_repeated"] < n:
        before = len(messages(heard))
        await server.happen("mark")
        await heard.until(partial(more_messages, heard, before))


async def test_events_of_the_same_time_are_readings_of_their_own() -> None:
    async with machine() as server:
        connector, heard = build(server.url)
        async with running(connector, heard):
            await listening(heard)
            for message in ("hot", "door open", "hotter"):
                await server.happen(message)
            await heard.until(lambda: len(messages(heard)) == 3)
    batches = [batch for batch in heard.batches if batch.value[0] is not None]
    times = [time for batch in batches for time in batch.time.tolist()]
    assert messages(heard) == ["hot", "door open", "hotter"]
    assert times == [AT_NS, AT_NS + 1, AT_NS + 2]


async def test_an_event_is_an_object_with_the_names_of_the_standard() -> None:
    async with machine() as server:
        connector, heard = build(server.url)
        async with running(connector, heard):
            await listening(heard)
            assert told(heard) == [None]
            await server.happen("door open", 300)
            await heard.until(lambda: messages(heard) == ["door open"])
    value = heard.value["alarms"]
    assert len(value.pop("EventId")) > 8
    assert value == {
        "EventType": "i=2041",
        "SourceNode": "i=2253",
        "SourceName": "Server",
        "Time": "2026-01-05T06:00:00.123456Z",
        "Message": "door open",
        "Severity": 300,
    }
    assert (heard.quality["alarms"], heard.batches[-1].time.tolist()) == (0, [AT_NS])
    assert connector.counts["events"] == 1


async def test_a_condition_tells_its_states() -> None:
    async with machine() as server:
        connector, heard = build(server.url, fields=["ActiveState", "nsu=urn:test:elsewhere;Nothing"])
        async with running(connector, heard):
            await listening(heard)
            await server.alarm("pump", active=True, acked=False)
            await heard.until(lambda: len(messages(heard)) == 1)
    value = heard.value["alarms"]
    assert value.keys() == {
        "EventId",
        *("EventType", "SourceNode", "SourceName", "Time", "Message", "Severity"),
        *("ConditionId", "ConditionName", "Retain", "EnabledState", "ActiveState", "AckedState", "Quality"),
    }
    wanted = {"ConditionId": f"nsu={URI};s=pump", "ConditionName": "HighLevel", "SourceName": "pump", "Retain": True}
    states = {"EnabledState": True, "ActiveState": True, "AckedState": False, "Quality": 0x4095_0000}
    assert value | wanted | states == value


async def test_only_what_was_asked_for_is_told() -> None:
    """And what the server says of the stream comes in spite of that: a refresh goes to its end."""
    async with machine() as server:
        await server.alarm("pump", active=True, acked=False)
        alarms = ["i=2915", "i=2041"]
        connector, heard = build(server.url, types=alarms, severity_min=400)
        async with running(connector, heard):
            await heard.until(lambda: len(messages(heard)) == 1)
            await server.happen("not severe", 399)
            await server.report("RefreshRequiredEvent", "of another type, and never told")
            await server.happen("severe", 400)
            await heard.until(lambda: "severe" in messages(heard))
            await repeated(server, connector, heard, 1)
    assert messages(heard)[:2] == ["pump: active True, acknowledged False", "severe"]
    assert set(messages(heard)[2:]) <= {"mark"}


async def test_after_a_restart_of_the_gateway_only_news_is_told() -> None:
    """Known alarms are no news, new ones are; one that ended meanwhile is told to have ended, once."""
    async with machine() as server:
        for name in ("pump", "valve", "door"):
            await server.alarm(name, active=True, acked=False)
        connector, heard = build(server.url)
        async with running(connector, heard):
            await heard.until(lambda: len(messages(heard)) == 3)
        await server.alarm("pump", active=False, acked=True)
        await server.alarm("valve", active=True, acked=True)
        again, news = build(server.url, learned=connector.learned)
        async with running(again, news):
            await news.until(lambda: len(messages(news)) == 2)
        last, nothing = build(server.url, learned=again.learned)
        async with running(last, nothing):
            await listening(nothing)
            await repeated(server, last, nothing, 2)
    valve, pump = told(news)[1:]
    assert valve["Message"] == "valve: active True, acknowledged True"
    gone = {"ConditionId": f"nsu={URI};s=pump", "Retain": False, "ActiveState": False, "ConditionName": "HighLevel"}
    assert pump | gone == pump
    assert news.quality["alarms"] == 0x4095_0000
    assert set(messages(nothing)) <= {"mark"}
    assert {one["ConditionId"] for one in last.learned["conditions"]["alarms"]} == {
        f"nsu={URI};s=valve",
        f"nsu={URI};s=door",
    }


async def test_alarms_that_a_new_filter_leaves_out_have_not_ended() -> None:
    async with machine() as server:
        await server.alarm("pump", active=True, acked=False)
        connector, heard = build(server.url)
        async with running(connector, heard):
            await heard.until(lambda: len(messages(heard)) == 1)
        narrow, severe = build(server.url, learned=connector.learned, severity_min=900)
        async with running(narrow, severe):
            await listening(severe)
            await server.happen("mark", 900)
            await severe.until(lambda: "mark" in messages(severe))
    assert messages(severe) == ["mark"]


async def test_what_happens_while_the_line_is_down_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    if "uvloop" in type(asyncio.get_running_loop()).__module__:
        pytest.skip("asyncua's server ends a subscription when uvloop says that its connection is closed")
    caplog.set_level(logging.CRITICAL, "asyncua")
    async with machine() as server, servers.line(server.port) as line:
        connector, heard = build(f"opc.tcp://127.0.0.1:{line.port}")
        async with again_and_again(partial(connector.run, heard)):
            await listening(heard)
            await server.alarm("pump", active=True, acked=False, message="before")
            await server.report("RefreshRequiredEvent", "whose refresh comes after the first")
            await repeated(server, connector, heard, 1)
            line.cut()
            await server.alarm("pump", active=True, acked=True, message="meanwhile")
            await server.happen("event")
            await line.join()
            await heard.until(lambda: connector.counts["resumed"] == 1)
            await server.alarm("pump", active=False, acked=True, message="after")
            await heard.until(lambda: "after" in messages(heard))
    found = [message for message in messages(heard) if message != "mark"]
    assert found == ["before", "meanwhile", "event", "after"]


async def test_a_server_without_conditions_tells_events_and_one_word(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "connectors")
    async with machine(conditions=False) as server:
        connector, heard = build(server.url)
        for i in range(2):
            async with running(connector, heard):
                await heard.until(partial(began, heard, i + 1))
                await server.happen(f"event {i}")
                await heard.until(partial(so_many_messages, heard, i + 1))
    assert messages(heard) == ["event 0", "event 1"]
    (word,) = [record.message for record in caplog.records if record.name.startswith("connectors")]
    assert "device d tells no conditions, only events as they happen" in word


async def test_an_overflow_is_told_counted_and_followed_by_a_refresh() -> None:
    async with machine() as server:
        await server.alarm("pump", active=True, acked=False)
        connector, heard = build(server.url)
        async with running(connector, heard):
            await heard.until(lambda: len(messages(heard)) == 1)
            await server.report("EventQueueOverflowEvent", "overflow")
            await repeated(server, connector, heard, 1)
    assert messages(heard)[1] == "overflow"
    assert set(messages(heard)[2:]) <= {"mark"}
    assert connector.counts["event_overflows"] == 1


@pytest.mark.parametrize(
    "keys", [{"events": "nsu=urn:test:elsewhere;s=x"}, {"events": "i=9999999"}, {"events": "i=2258"}]
)
async def test_what_reports_nothing_is_bad(keys: dict[str, str]) -> None:
    async with machine() as server:
        connector, heard = build(server.url, **keys)
        async with running(connector, heard):
            await heard.until(lambda: "alarms" in heard.quality)
    assert heard.quality["alarms"] >> 30 == 2


async def test_a_flood_is_told_in_order_and_whole() -> None:
    async with machine() as server:
        connector, heard = build(server.url)
        async with running(connector, heard):
            await listening(heard)
            for i in range(500):
                await server.happen(f"event {i}")
            await heard.until(lambda: len(messages(heard)) == 500)
    assert messages(heard) == [f"event {i}" for i in range(500)]


# --- acknowledging ------------------------------------------------------------------------

SEEN = {"Comment": "seen"}


class Asked:
    """What a server was asked to acknowledge, and what it says: method, event, comment."""

    def __init__(self, server: Machine) -> None:
        self.told: list[tuple[str, bytes, str]] = []
        self.status = 0
        self._machine = server

    async def begin(self) -> None:
        """Have the alarm `pump` as a node, and answer who acknowledges or confirms it."""
        server = self._machine._server
        place = ua.NodeId(ua.String("pump"), ua.Int16(2))
        await server.nodes.objects.add_object(place, ua.QualifiedName("pump", 2))
        for verb in ("Acknowledge", "Confirm"):
            method = ua.NodeId(ua.Int32(getattr(ua.ObjectIds, f"AcknowledgeableConditionType_{verb}")))
            server.iserver.isession.add_method_callback(method, partial(self._answer, verb))

    def _answer(self, verb: str, parent: ua.NodeId, event: ua.Variant, comment: ua.Variant) -> ua.StatusCode:
        assert parent.Identifier == "pump"
        assert event.Value is not None
        assert comment.Value is not None
        self.told.append((verb, event.Value, comment.Value.Text))
        return ua.StatusCode(ua.UInt32(self.status))


async def test_an_alarm_that_is_not_over_is_acknowledged_by_its_latest_event() -> None:
    async with machine() as server:
        asked = Asked(server)
        await asked.begin()
        connector, heard = build(server.url, acknowledge=True)
        assert isinstance(connector, Caller)
        async with running(connector, heard):
            await listening(heard)
            await server.alarm("pump", active=True, acked=False, message="high")
            await heard.until(partial(so_many_messages, heard, 1))
            first = heard.value["alarms"]["EventId"]
            assert await connector.call("alarms/acknowledge", SEEN | {"EventId": first}) == Called(
                0, "Good", {"EventId": "Good", "Comment": "Good"}
            )
            assert asked.told == [("Acknowledge", base64.b64decode(first), "seen")]
            await server.alarm("pump", active=True, acked=True, message="acknowledged")
            await heard.until(partial(so_many_messages, heard, 2))
            latest = heard.value["alarms"]["EventId"]
            with pytest.raises(ValueError, match="alarms has no alarm of this EventId that is not over"):
                await connector.call("alarms/acknowledge", SEEN | {"EventId": first})
            asked.status = ua.StatusCodes.BadConditionBranchAlreadyConfirmed
            said = await connector.call("alarms/confirm", SEEN | {"EventId": latest})
            assert said.status == "BadConditionBranchAlreadyConfirmed"
            assert asked.told[1:] == [("Confirm", base64.b64decode(latest), "seen")]
            await server.alarm("pump", active=False, acked=True, message="over")
            await heard.until(partial(so_many_messages, heard, 3))
            with pytest.raises(ValueError, match="alarms has no alarm of this EventId"):
                await connector.call("alarms/confirm", SEEN | {"EventId": heard.value["alarms"]["EventId"]})
            assert len(asked.told) == 2
