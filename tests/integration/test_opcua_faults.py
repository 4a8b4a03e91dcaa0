"""What an OPC UA connector survives: servers that are killed, paused, changed and cut off. Real ones, of two kinds.

The supervisor and its latest table are those of the gateway; only its back-off is shorter (tests/opcua_servers.py).
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pytest
from asyncua import Client, ua

from connectors import opcua
from connectors._opcua import monitoring
from gateway.contracts import Connector
from gateway.model import Quality
from tests import servers
from tests.conformance.test_connectors import RIGS, Heard, build
from tests.opcua_servers import KINDS, Kept, kept, program

MACHINE, OTHER = "urn:test:machine", "urn:test:other"
SPACES = {MACHINE: {"Temperature": 20.5, "Speed": 1.0}}
GOOD = {"temperature": 20.5, "speed": 1.0}
TAGS = {name.lower(): {"node": f"nsu={MACHINE};s={name}"} for name in SPACES[MACHINE]}
TEMPERATURE, SPEED = (MACHINE, "Temperature"), (MACHINE, "Speed")
BACK_S: Final = 10.0
"""So soon after the server is back there are data: the requirement."""
RESTARTS: Final = {"asyncua": 50, "node-opcua": 4}
"""A node-opcua takes more than a second to start."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def quick(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription says every half second that it is alive, nodes are soon looked for again, asyncua is silent."""
    caplog.set_level(logging.CRITICAL, "asyncua")
    monkeypatch.setattr(monitoring, "_KEEP_ALIVE_S", 0.5)
    monkeypatch.setattr(opcua, "_AGAIN_S", 0.3)


def device(url: str, tags: Mapping[str, Any] = TAGS) -> tuple[Connector, Heard]:
    return build(RIGS["opcua"], url, dict(tags), {"publishing": 0.05, "sampling": 0.02, "timeout": 0.5})


async def back(one: Kept, expected: Mapping[str, Any]) -> None:
    async with asyncio.timeout(BACK_S):
        await one.until(lambda: one.now() == expected)


async def test_a_server_that_is_restarted_again_and_again_is_always_read_again(kind: str) -> None:
    """At any moment of connecting, with the namespaces in any order, or one of them missing for a while."""
    chance = random.Random(4)
    async with program(kind) as server, kept(*device(server.url)) as one:
        for restart in range(1, RESTARTS[kind] + 1):
            machine, other = {"Temperature": 100.0 + restart, "Speed": 1.0}, {"Temperature": -1.0, "Speed": -1.0}
            spaces = {MACHINE: machine, OTHER: other, "urn:test:third": {"Temperature": -2.0, "Speed": -2.0}}
            there = restart % 7 != 3
            if not there:
                del spaces[MACHINE]
            await server.start(dict(chance.sample(list(spaces.items()), len(spaces))))
            if restart % 5 in (0, 3):
                unknown = Quality.BAD_NODE_ID_UNKNOWN
                await back(one, {tag.lower(): value if there else unknown for tag, value in machine.items()})
            else:
                await asyncio.sleep(chance.uniform(0.0, 0.15))
            if restart < RESTARTS[kind]:
                await server.kill()
                await server.prepare()
        await back(one, {"temperature": 100.0 + RESTARTS[kind], "speed": 1.0})
        assert min(value for tag in TAGS for _, value in one.told(tag)) > 0, "another node was read"
        assert (await server.ask("status")) == {"sessions": 1, "subscriptions": 1, "items": len(TAGS)}
    assert one.health.bugs == 0


async def test_what_changed_while_the_line_was_down_arrives_once_and_what_did_not_is_good_again(kind: str) -> None:
    chance = random.Random(5)
    value = 100.0
    async with program(kind) as server:
        await server.start(SPACES)
        async with servers.line(server.port) as line, kept(*device(f"opc.tcp://127.0.0.1:{line.port}")) as one:
            await back(one, GOOD)
            for round_ in range(8):
                if round_ % 2:
                    await asyncio.sleep(chance.uniform(0.0, 0.1))  # some cuts come while it connects
                line.cut()
                if round_ % 2 == 0:
                    await one.until(lambda: one.health.state == "down")
                    assert one.now()["speed"] == Quality.BAD_NOT_CONNECTED
                values = [value + n for n in range(1, 5)]
                value = values[-1]
                await server.ask("set", node=TEMPERATURE, values=values, every_s=0.04)
                await line.join()
                if round_ % 2 == 0:
                    await back(one, {"temperature": value, "speed": 1.0})
            await back(one, {"temperature": value, "speed": 1.0})
            assert (await server.ask("status")) == {"sessions": 1, "subscriptions": 1, "items": len(TAGS)}
        told = [v for _, v in one.told("temperature") if v > 100.0]
        assert told == [100.0 + n for n in range(1, 33)]
    assert one.health.bugs == 0
    assert one.connector.counts["notifications_lost"] == 0


def turns(one: Kept, speed: float) -> bool:
    return bool(one.now()["speed"] == speed)


async def test_a_node_that_is_removed_is_bad_and_good_again_when_it_is_back(kind: str) -> None:
    async with program(kind) as server:
        await server.start(SPACES)
        async with kept(*device(server.url)) as one:
            await back(one, GOOD)
            for value in (30.0, 31.0):
                await server.ask("remove", node=TEMPERATURE)
                await one.until(lambda: one.now()["temperature"] > 0x8000_0000)
                await server.ask("set", node=SPEED, values=[value])
                await one.until(partial(turns, one, value))
                await server.ask("add", node=TEMPERATURE, values=[value])
                await back(one, {"temperature": value, "speed": value})
                await server.ask("set", node=TEMPERATURE, values=[value + 0.5])
                await back(one, {"temperature": value + 0.5, "speed": value})
            status = await server.ask("status")
            assert (status["sessions"], status["subscriptions"], status["items"]) == (1, 1, 2)
        assert one.health.runs == 1


async def test_a_node_that_comes_later_than_the_gateway_is_found() -> None:
    async with program("asyncua") as server:
        await server.start({MACHINE: {"Speed": 1.0}})
        async with kept(*device(server.url)) as one:
            await back(one, {"temperature": Quality.BAD_NODE_ID_UNKNOWN, "speed": 1.0})
            await server.ask("add", node=TEMPERATURE, values=[20.5])
            await back(one, GOOD)
        assert one.health.runs == 1


async def test_a_server_that_was_paused_for_long_is_read_again(kind: str) -> None:
    """As a machine in a debugger, or one that swaps: the connection stands all the time."""
    async with program(kind) as server:
        await server.start(SPACES)
        async with kept(*device(server.url)) as one:
            await back(one, GOOD)
            for before, value in ((20.5, 50.0), (50.0, 51.0)):
                server.pause()
                await one.until(lambda: one.health.state == "down")
                server.go_on()
                await back(one, {"temperature": before, "speed": 1.0})
                await server.ask("set", node=TEMPERATURE, values=[value])
                await back(one, {"temperature": value, "speed": 1.0})
            assert (await server.ask("status"))["sessions"] == 1
    assert [v for _, v in dict.fromkeys(one.told("temperature")) if v >= 50.0] == [50.0, 51.0]


async def test_a_line_that_swallows_everything_is_noticed_and_left(kind: str) -> None:
    async with program(kind) as server:
        await server.start(SPACES)
        async with servers.line(server.port) as line, kept(*device(f"opc.tcp://127.0.0.1:{line.port}")) as one:
            await back(one, GOOD)
            line.swallow()
            await server.ask("set", node=TEMPERATURE, values=[60.0, 61.0, 62.0], every_s=0.04)
            await one.until(lambda: one.health.state == "down")
            assert one.now() == dict.fromkeys(GOOD, Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE)
            line.let_go()
            await back(one, {"temperature": 62.0, "speed": 1.0})
            assert (await server.ask("status")) == {"sessions": 1, "subscriptions": 1, "items": len(TAGS)}
    assert [v for _, v in one.told("temperature") if v >= 60.0] == [60.0, 61.0, 62.0]


async def test_what_is_somebody_elses_after_a_restart_is_not_taken_for_ours() -> None:
    """Some servers count sessions and subscriptions anew at every start, and another client was faster."""
    decoys = {OTHER: {"Temperature": -1.0, "Speed": -1.0}}
    async with program("asyncua") as server:
        await server.start(decoys | SPACES)
        async with servers.line(server.port) as line, kept(*device(f"opc.tcp://127.0.0.1:{line.port}")) as one:
            await back(one, GOOD)
            line.cut()
            await server.kill()
            await server.start(decoys | SPACES)
            async with Client(server.url) as other:
                index = await other.get_namespace_index(OTHER)
                parameters = ua.CreateSubscriptionParameters(
                    RequestedPublishingInterval=50.0,
                    RequestedLifetimeCount=1000,
                    RequestedMaxKeepAliveCount=10,
                    PublishingEnabled=True,
                )
                subscription = await other.create_subscription(parameters, Ignored())
                await other.uaclient.create_monitored_items(
                    ua.CreateMonitoredItemsParameters(
                        SubscriptionId=subscription.subscription_id,
                        ItemsToCreate=[
                            ua.MonitoredItemCreateRequest(
                                ItemToMonitor=ua.ReadValueId(
                                    NodeId=ua.NodeId(ua.String(name), ua.Int16(index)),
                                    AttributeId=ua.AttributeIds.Value,
                                ),
                                MonitoringMode=ua.MonitoringMode.Reporting,
                                RequestedParameters=ua.MonitoringParameters(ClientHandle=ua.UInt32(handle)),
                            )
                            for handle, name in enumerate(SPACES[MACHINE])
                        ],
                    )
                )
                await line.join()
                await back(one, GOOD)
                await server.ask("set", node=TEMPERATURE, values=[21.5])
                await server.ask("set", node=(OTHER, "Temperature"), values=[-2.0])
                await back(one, GOOD | {"temperature": 21.5})
                assert (await server.ask("status"))["sessions"] == 2
    assert min(value for tag in TAGS for _, value in one.told(tag)) > 0, "another client's values were read"


class Ignored:
    """A handler of what the other client is told, and does not care for."""

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None: ...
