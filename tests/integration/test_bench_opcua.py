"""`gateway bench opcua`, and its server: whatever is measured with it must not be able to tell it from another."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import BadMessageNotAvailable, BadNodeIdUnknown, BadNoSubscription, BadServiceUnsupported

from gateway.bench.measured import source
from gateway.bench.opcua_canned import DOUBLES, MIXED, NAMESPACES, SCANS
from gateway.bench.opcua_limit import protocol
from tests.integration.process import command

PATIENCE_S = 15.0
ITEMS = 3000
"""More than fits one chunk of 65,535 bytes, in both directions."""
CLOCKS = timedelta(milliseconds=10)
"""The wall clock and the monotonic one may differ by so much."""


def test_the_bench_compares_subscriptions_and_reads_with_the_limit_and_with_asyncua() -> None:
    ended = command("bench", "opcua", "--seconds", "0.5")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    _, *tables = ended.stdout.strip().split("\n\n")
    titles = [re.split(r" {2,}", table)[0] for table in tables]
    assert titles == [
        "1,000 changes per message, doubles",
        "5,000 changes per message, doubles",
        "5,000 changes per message, mixed types",
        "reads of 1,000 nodes, doubles",
        "reads of 1,000 nodes, mixed types",
    ]
    for title, table in zip(titles, tables, strict=True):
        limit, *ours, asyncua, server = [re.split(r" {2,}", row) for row in table.splitlines()[1:]]
        assert (limit[0], server[0]) == ("bytes received and counted", "the server itself")
        if "reads" in title:
            assert [row[0] for row in (*ours, asyncua)] == ["columns, request encoded once", "asyncua, read_values"]
        else:
            assert [row[0] for row in (*ours, asyncua)] == [
                "asyncua's channel, not decoded", "connector", "asyncua, handler",
            ]  # fmt: skip
        for row in (limit, *ours, asyncua):
            assert float(row[1].replace(",", "")) > 0
            assert re.fullmatch(r"1/\d+", row[4])
        assert (limit[3], asyncua[4]) == ("1.0", "1/1")


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    with source("gateway.bench.opcua_server") as (_, (port,)):
        async with asyncio.timeout(PATIENCE_S), Client(f"opc.tcp://127.0.0.1:{port}") as client:
            yield client


async def subscribed(client: Client, interval_ms: float, items: int, namespace: int) -> int:
    """Subscribe to so many nodes, the client handle 100 more than the identifier; publishing is left to the test."""
    request = ua.CreateSubscriptionRequest()
    request.Parameters.RequestedPublishingInterval = interval_ms
    response = struct_from_binary(ua.CreateSubscriptionResponse, await protocol(client).send_request(request))
    await client.uaclient.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=response.Parameters.SubscriptionId,
            ItemsToCreate=[
                ua.MonitoredItemCreateRequest(
                    ItemToMonitor=ua.ReadValueId(NodeId=node(i, namespace), AttributeId=ua.AttributeIds.Value),
                    RequestedParameters=ua.MonitoringParameters(ClientHandle=ua.UInt32(100 + i)),
                )
                for i in range(items)
            ],
        )
    )
    return int(response.Parameters.SubscriptionId)


async def published(client: Client, *acknowledge: ua.SubscriptionAcknowledgement) -> ua.PublishResult:
    result: ua.PublishResult = (await client.uaclient.session.publish(list(acknowledge))).Parameters
    return result


def node(i: int, namespace: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(i), ua.Int16(namespace))


def changes(message: ua.NotificationMessage) -> list[tuple[int, ua.DataValue]]:
    (notification,) = message.NotificationData
    assert isinstance(notification, ua.DataChangeNotification)
    return [(item.ClientHandle, item.Value) for item in notification.MonitoredItems]


async def test_no_two_scans_of_a_variable_are_alike_and_all_types_are_there() -> None:
    begin = datetime.now(UTC)
    async with connected() as client:
        assert await client.get_namespace_array() == list(NAMESPACES)
        nodes = [client.get_node(node(i, MIXED)) for i in range(8)]
        scans = [await client.read_attributes(nodes) for _ in range(SCANS)]
    types = [value.Value.VariantType.name for value in scans[0] if value.Value is not None]
    assert types == ["Double", "Float", "Int32", "UInt16", "Boolean", "String", "UInt32", "Int16"]
    for values in zip(*scans, strict=True):
        assert all(one.Value != other.Value for one, other in pairwise(values))
        for value in values:
            assert value.SourceTimestamp == value.ServerTimestamp
            assert value.SourceTimestamp is not None
            assert begin - CLOCKS < value.SourceTimestamp < datetime.now(UTC) + CLOCKS


async def test_every_notification_has_a_change_of_every_item_and_numbers_count_up() -> None:
    async with connected() as client:
        await subscribed(client, 0, ITEMS, DOUBLES)
        messages = [(await published(client)).NotificationMessage for _ in range(5)]
    assert [message.SequenceNumber for message in messages] == [1, 2, 3, 4, 5]
    first, second, *_ = map(changes, messages)
    assert [handle for handle, _ in first] == [handle for handle, _ in second] == list(range(100, 100 + ITEMS))
    assert all(one.Value != other.Value for (_, one), (_, other) in zip(first, second, strict=True))


async def test_a_subscription_keeps_its_pace() -> None:
    async with connected() as client:
        await subscribed(client, 50, 10, DOUBLES)
        first, *_, fifth = [(await published(client)).NotificationMessage.PublishTime for _ in range(5)]
    assert fifth - first > timedelta(milliseconds=4 * 50) - CLOCKS


async def test_a_notification_can_be_had_again_until_it_is_acknowledged() -> None:
    async with connected() as client:
        subscription = await subscribed(client, 0, 10, MIXED)
        first = await published(client)
        assert await client.uaclient.session.republish(subscription, 1) == first.NotificationMessage
        acknowledgement = ua.SubscriptionAcknowledgement(SubscriptionId=first.SubscriptionId, SequenceNumber=1)
        second = await published(client, acknowledgement, acknowledgement)
        assert [result.name for result in second.Results] == ["Good", "BadSequenceNumberUnknown"]
        assert second.AvailableSequenceNumbers == [2]
        with pytest.raises(BadMessageNotAvailable):
            await client.uaclient.session.republish(subscription, 1)


async def test_what_is_not_there_is_refused_by_its_name() -> None:
    async with connected() as client:
        with pytest.raises(BadNodeIdUnknown):
            await client.get_node(node(1, 7)).read_value()
        with pytest.raises(BadServiceUnsupported):
            await client.get_node(node(1, DOUBLES)).get_children()
        with pytest.raises(BadNoSubscription):
            await published(client)
        subscription = await subscribed(client, 0, 1, 7)
        (deleted, again) = await client.uaclient.delete_subscriptions([subscription, subscription])
        assert (deleted.name, again.name) == ("Good", "BadSubscriptionIdInvalid")
