"""Tags that are polled, and tags of several rates beside them."""

import logging
from functools import partial
from typing import Any

import pytest
from asyncua import ua

from gateway.contracts import Connector
from tests import servers
from tests.conformance.test_connectors import RIGS, Heard, again_and_again, build, running

RIG = RIGS["opcua"]
NUMBERS = {name: RIG.tags[name] for name in ("temperature", "count", "big", "running")}


def shows(heard: Heard, temperature: float) -> bool:
    return heard.value.get("temperature") == temperature


def told(heard: Heard, name: str) -> list[Any]:
    """What came of a tag, in order."""
    return [
        value
        for batch in heard.batches
        for tag, value in zip(batch.tag.tolist(), batch.value.tolist(), strict=True)
        if heard.names[tag] == name
    ]


def subscriptions(server: servers.OpcUaRig) -> list[float]:
    """The publishing intervals [ms] of the subscriptions of clients."""
    return sorted(float(one.data.RevisedPublishingInterval) for one in server.subscriptions())


def polled(connector: Connector, more_than: int) -> bool:
    return connector.counts["polls"] > more_than


async def test_polled_tags_need_no_subscription_and_are_told_when_they_change() -> None:
    async with servers.opcua() as server:
        await server.set("Count", ua.Variant(7, ua.VariantType.UInt32))  # with a source time, other than at first
        connector, heard = build(RIG, server.url, NUMBERS, {"poll": "20ms"})
        async with running(connector, heard):
            for value in (20.5, 21.5, 22.5):
                await server.set("Temperature", ua.Variant(value, ua.VariantType.Double))
                await heard.until(partial(shows, heard, value))
                await heard.until(partial(polled, connector, connector.counts["polls"] + 2))
            assert subscriptions(server) == []
    assert {name: heard.value[name] for name in NUMBERS} == {name: RIG.expected[name] for name in NUMBERS} | {
        "temperature": 22.5
    }
    assert told(heard, "temperature")[-2:] == [21.5, 22.5]
    assert told(heard, "count") == [7]


async def test_each_rate_has_its_subscription_and_polls_go_beside_them() -> None:
    tags = NUMBERS | {
        "temperature": NUMBERS["temperature"] | {"poll": "20ms"},
        "count": NUMBERS["count"] | {"publishing": "100ms"},
        "big": NUMBERS["big"] | {"publishing": "200ms"},
    }
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, tags)
        async with running(connector, heard):
            await heard.until(lambda: heard.value.keys() == tags.keys())
            assert subscriptions(server) == [50.0, 100.0, 200.0]
            await server.set("Temperature", ua.Variant(-1.0, ua.VariantType.Double))
            await server.set("Count", ua.Variant(8, ua.VariantType.UInt32))
            await server.set("Big", ua.Variant(1, ua.VariantType.UInt64))
            await server.set("Running", ua.Variant(False, ua.VariantType.Boolean))
            changed = {"temperature": -1.0, "count": 8, "big": 1, "running": False}
            await heard.until(lambda: heard.value == changed)


async def test_all_rates_and_polls_go_on_after_a_lost_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "asyncua")
    tags = NUMBERS | {
        "temperature": NUMBERS["temperature"] | {"poll": "20ms"},
        "count": NUMBERS["count"] | {"publishing": "100ms"},
    }
    async with servers.opcua() as server, servers.line(server.port) as line:
        connector, heard = build(RIG, f"opc.tcp://127.0.0.1:{line.port}", tags)
        async with again_and_again(partial(connector.run, heard)):
            await heard.until(lambda: heard.value.keys() == tags.keys())
            polls = connector.counts["polls"]
            await heard.until(lambda: connector.counts["polls"] > polls)  # so all items are there
            line.cut()
            await server.set("Temperature", ua.Variant(-1.0, ua.VariantType.Double))
            await server.set("Count", ua.Variant(8, ua.VariantType.UInt32))
            await server.set("Running", ua.Variant(False, ua.VariantType.Boolean))
            await line.join()
            changed = {"temperature": -1.0, "count": 8, "running": False, "big": heard.value["big"]}
            await heard.until(lambda: heard.value == changed)
            assert subscriptions(server) == [50.0, 100.0]
            assert len(server.sessions()) == 1
    assert connector.counts["resumed"] == 1


async def test_a_tag_of_a_polled_device_may_be_subscribed() -> None:
    tags = NUMBERS | {"count": NUMBERS["count"] | {"poll": "off"}}
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, tags, {"poll": "20ms"})
        async with running(connector, heard):
            await heard.until(lambda: heard.value.keys() == tags.keys())
            assert subscriptions(server) == [50.0]


@pytest.mark.parametrize(("granted", "short"), [(1, 4), (40, 0)])
async def test_queues_hold_twice_what_comes_in_between_or_are_counted(
    monkeypatch: pytest.MonkeyPatch, granted: int, short: int
) -> None:
    asked: list[int] = []

    def revise(_: Any, requested: int) -> int:
        asked.append(requested)
        return min(granted, requested)

    monkeypatch.setattr("asyncua.server.monitored_item_service.MonitoredItemService._revise_queue_size", revise)
    async with servers.opcua() as server:
        tags = NUMBERS | {"count": NUMBERS["count"] | {"sampling": "10s"}}
        connector, heard = build(RIG, server.url, tags, {"publishing": 1.0, "sampling": "50ms"})
        async with running(connector, heard):
            await heard.until(lambda: heard.value.keys() == tags.keys())
    assert sorted(asked) == [2, 40, 40, 40]
    assert connector.counts["short_queues"] == short


async def test_a_poll_that_would_come_late_is_skipped_and_counted() -> None:
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, NUMBERS, {"poll": 1e-4})
        async with running(connector, heard):
            await heard.until(lambda: connector.counts["polls"] > 3)
    assert connector.counts["polls_skipped"] > 0


async def test_a_polled_node_that_is_not_there_spoils_no_other() -> None:
    tags = NUMBERS | {"missing": RIG.missing, "elsewhere": {"node": "nsu=urn:test:elsewhere;s=Temperature"}}
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, tags, {"poll": "20ms"})
        async with running(connector, heard):
            await heard.until(lambda: heard.value.keys() == tags.keys())
            await heard.until(lambda: connector.counts["polls"] > 4)
    assert len(told(heard, "missing")) == 1
    assert {name for name, code in heard.quality.items() if code} == {"missing", "elsewhere"}


@pytest.mark.parametrize("poll", ["0", "-1s", "often"])
def test_a_period_is_a_duration_above_zero(poll: str) -> None:
    with pytest.raises(ValueError, match="poll"):
        build(RIG, "opc.tcp://127.0.0.1:1", NUMBERS, {"poll": poll})
