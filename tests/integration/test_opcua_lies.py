"""Servers that answer what they must not: whatever they say, nothing wrong is read, and the truth is believed again."""

import asyncio
import json
import logging
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua

from connectors import opcua
from connectors._opcua import monitoring, publishing
from gateway.contracts import Connector
from tests.conformance.test_connectors import RIGS, Heard, build
from tests.liar import fault, liar
from tests.opcua_servers import Kept, kept
from tests.servers import free_port

URI = "urn:test:machine"
TAGS = {"temperature": {"node": f"nsu={URI};s=Temperature"}, "speed": {"node": f"nsu={URI};s=Speed"}}
BACK_S = 10.0


@dataclass
class Truth:
    """The server behind the lies. `temperature` is what it has told us last to have."""

    process: "subprocess.Popen[bytes]"
    port: int
    temperature: float = 0.0

    def ask(self, what: str, **keys: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": what, **keys}).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def change(self) -> None:
        self.temperature += 1.0
        self.ask("set", node=[URI, "Temperature"], values=[self.temperature])


@pytest.fixture(scope="module")
def truth() -> Iterator[Truth]:
    port = free_port()
    command = [sys.executable, "-m", "tests.opcua_program", f"opc.tcp://127.0.0.1:{port}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        server = Truth(process, port)
        server.ask("start", spaces={URI: {"Temperature": 0.0, "Speed": 1.0}})
        yield server
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe


@pytest.fixture(autouse=True)
def quick(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.CRITICAL, "asyncua")
    monkeypatch.setattr(monitoring, "_KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr(publishing, "_PAUSE_S", 0.05)
    monkeypatch.setattr(opcua, "_AGAIN_S", 0.2)


def device(url: str) -> tuple[Connector, Heard]:
    return build(RIGS["opcua"], url, TAGS, {"publishing": 0.05, "sampling": 0.02, "timeout": 0.3})


# --- lies: what is made of an answer ------------------------------------------------------


def revised(interval_ms: float, keep_alives: int) -> Callable[[Any], Any]:
    def lie(answer: ua.CreateSubscriptionResponse) -> Any:
        answer.Parameters.RevisedPublishingInterval = ua.Double(interval_ms)
        answer.Parameters.RevisedMaxKeepAliveCount = ua.UInt32(keep_alives)
        return answer

    return lie


def refuse(status: int) -> Callable[[Any], Any]:
    return lambda answer: fault(answer, status)


def another_subscription(answer: ua.PublishResponse) -> Any:
    answer.Parameters.SubscriptionId = ua.UInt32(999_999)
    return answer


def numbered(number: Callable[[int], int]) -> Callable[[Any], Any]:
    def lie(answer: ua.PublishResponse) -> Any:
        message = answer.Parameters.NotificationMessage
        message.SequenceNumber = ua.UInt32(number(int(message.SequenceNumber)))
        return answer

    return lie


def ended(answer: ua.PublishResponse) -> Any:
    status = ua.StatusChangeNotification(Status=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTimeout)))
    answer.Parameters.NotificationMessage.NotificationData = [status]
    return answer


def changed(change: Callable[[Any], None]) -> Callable[[Any], Any]:
    """Do something to each reading."""

    def lie(answer: ua.PublishResponse) -> Any:
        for data in answer.Parameters.NotificationMessage.NotificationData or []:
            for item in data.MonitoredItems:
                change(item)
        return answer

    return lie


def of_others(item: Any) -> None:
    item.ClientHandle = ua.UInt32(item.ClientHandle + 1000)


def fewer(answer: Any) -> Any:
    del answer.Results[-1:]
    return answer


LIES: dict[str, dict[type, Callable[[Any], Any]]] = {
    "intervals are 0": {ua.CreateSubscriptionResponse: revised(0.0, 0)},
    "intervals are huge": {ua.CreateSubscriptionResponse: revised(1e300, 0xFFFF_FFFF)},
    "intervals are no numbers": {ua.CreateSubscriptionResponse: revised(math.nan, 1)},
    "no room for a subscription": {ua.CreateSubscriptionResponse: refuse(ua.StatusCodes.BadTooManySubscriptions)},
    "another subscription publishes": {ua.PublishResponse: another_subscription},
    "notifications jump": {ua.PublishResponse: numbered(lambda n: n * 100_000)},
    "notifications have one number": {ua.PublishResponse: numbered(lambda n: 1)},
    "notifications count down": {ua.PublishResponse: numbered(lambda n: 0xFFFF_FFFF - n)},
    "notifications are number 0": {ua.PublishResponse: numbered(lambda n: 0)},
    "the subscription has ended": {ua.PublishResponse: ended},
    "no publish request": {ua.PublishResponse: refuse(ua.StatusCodes.BadTooManyPublishRequests)},
    "publish requests time out": {ua.PublishResponse: refuse(ua.StatusCodes.BadTimeout)},
    "no subscription": {ua.PublishResponse: refuse(ua.StatusCodes.BadNoSubscription)},
    "no session": {ua.PublishResponse: refuse(ua.StatusCodes.BadSessionIdInvalid)},
    "no channel": {ua.PublishResponse: refuse(ua.StatusCodes.BadSecureChannelIdInvalid)},
    "no answer": {ua.PublishResponse: lambda answer: None},
    "garbage": {ua.PublishResponse: lambda answer: b"\x01\x00\x3d\x03" + bytes(range(200, 256))},
    "values of nobody": {ua.PublishResponse: changed(of_others)},
    "no items": {ua.CreateMonitoredItemsResponse: refuse(ua.StatusCodes.BadTooManyOperations)},
    "fewer items": {ua.CreateMonitoredItemsResponse: fewer},
    "fewer values": {ua.ReadResponse: fewer},
    "no namespaces": {ua.ReadResponse: refuse(ua.StatusCodes.BadUserAccessDenied)},
}


@pytest.mark.parametrize("lie", LIES)
async def test_when_a_server_stops_lying_everything_is_well_again(lie: str, truth: Truth) -> None:
    async with liar(truth.port) as line, kept(*device(line.url)) as one:
        await back(one, truth)
        line.lies = dict(LIES[lie])
        line.cut()  # so that what is said at the beginning is a lie as well
        line.answers.clear()
        for _ in range(4):
            await asyncio.to_thread(truth.change)
            await asyncio.sleep(0.1)  # so fast a machine changes, whatever is made of it
        busy = Counter(line.answers)
        line.lies = {}
        truth.change()
        await back(one, truth)
        assert one.health.bugs == 0, one.health.error
        assert {value for _, value in one.told("speed")} == {1.0}
        assert max(busy.values(), default=0) < 100, "it asks without end"
        status = truth.ask("status")
    assert status["items"] <= len(TAGS) * status["subscriptions"]


async def back(one: Kept, truth: Truth) -> None:
    async with asyncio.timeout(BACK_S):
        await one.until(lambda: one.now() == {"temperature": truth.temperature, "speed": 1.0})


TIMES = {
    "null": None,
    "before the beginning": datetime(1601, 1, 1, tzinfo=UTC),
    "long ago": datetime(1970, 1, 1, tzinfo=UTC),
    "in a thousand years": datetime(3026, 1, 1, tzinfo=UTC),
    "at the end": datetime(9999, 12, 31, tzinfo=UTC),
}


@pytest.mark.parametrize("time", TIMES)
async def test_a_time_that_cannot_be_harms_only_the_reading_that_has_it(time: str, truth: Truth) -> None:
    def lie(item: Any) -> None:
        item.Value = replace(item.Value, SourceTimestamp=TIMES[time], ServerTimestamp=TIMES[time])

    async with liar(truth.port) as line, kept(*device(line.url)) as one:
        await back(one, truth)
        line.lies = {ua.PublishResponse: changed(lie)}
        truth.change()
        await one.until(lambda: truth.temperature in [value for _, value in one.told("temperature")])
        line.lies = {}
        truth.change()
        await back(one, truth)
        assert one.health.bugs == 0


async def test_not_a_number_is_a_reading_and_harms_no_other(truth: Truth) -> None:
    def lie(item: Any) -> None:
        item.Value = replace(item.Value, Value=ua.Variant(math.nan, ua.VariantType.Double))

    async with liar(truth.port) as line, kept(*device(line.url)) as one:
        await back(one, truth)
        line.lies = {ua.PublishResponse: changed(lie)}
        truth.change()
        await one.until(lambda: math.isnan(one.now()["temperature"]))
        line.lies = {}
        truth.change()
        await back(one, truth)
        assert one.health.runs == 1
