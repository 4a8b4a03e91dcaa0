"""A subscription and its monitored items: what is asked of a server and what it grants (OPC 10000-4, 5.13, 5.14)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from connectors._opcua.calls import PER_MONITORED_ITEMS, in_batches, per_call
from connectors._pace import heed_cancel

_KEEP_ALIVE_S: Final = 2.0
_LIFETIME_S: Final = 60.0
_SILENCE_S_MAX: Final = 600.0
"""A server that wants to be silent for longer than this is taken for dead before."""
_MARGIN: Final = 2.0
"""Publish responses may be this much later than the keep-alive interval before the server counts as silent."""

_NO_FILTER: Final = (
    ua.StatusCodes.BadMonitoredItemFilterInvalid,
    ua.StatusCodes.BadMonitoredItemFilterUnsupported,
    ua.StatusCodes.BadFilterNotAllowed,
    ua.StatusCodes.BadDeadbandFilterInvalid,
)
_PER_CALL: Final = 1000
"""Items per call where the server names no limit, or a higher one."""


@dataclass(frozen=True, slots=True)
class Item:
    """A node to watch: `handle` comes back with its values, the server looks at it every `sampling_s`.

    The server leaves out changes of a number that are not larger than `deadband`, if it is above 0; what that counts,
    unit of the node or percent of its EURange, is its `deadband_type`.
    """

    handle: int
    node: ua.NodeId
    sampling_s: float
    deadband: float = 0.0
    deadband_type: ua.DeadbandType = ua.DeadbandType.Absolute


async def subscribe(client: Client, publishing_s: float) -> tuple[int, float, float]:
    """Create a subscription; return its number, publishing interval, and how long it may say nothing, in seconds.

    asyncua's way would start its own publish loop.
    """
    keep_alive = max(1, math.ceil(_KEEP_ALIVE_S / publishing_s))
    request = ua.CreateSubscriptionRequest()
    request.Parameters = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=publishing_s * 1000,
        RequestedLifetimeCount=max(10 * keep_alive, math.ceil(_LIFETIME_S / publishing_s)),
        RequestedMaxKeepAliveCount=keep_alive,
        MaxNotificationsPerPublish=0,
        PublishingEnabled=True,
    )
    body = await client.uaclient._send_request(request)
    response: ua.CreateSubscriptionResponse = struct_from_binary(ua.CreateSubscriptionResponse, body)
    response.ResponseHeader.ServiceResult.check()
    created = response.Parameters
    interval_s = max(publishing_s, float(created.RevisedPublishingInterval or 0) / 1000)  # NaN is not above
    silence_s = _MARGIN * interval_s * max(1, int(created.RevisedMaxKeepAliveCount))
    return int(created.SubscriptionId), interval_s, min(silence_s, _SILENCE_S_MAX)


async def monitor(
    client: Client, subscription: int, publishing_s: float, items: Sequence[Item]
) -> tuple[list[ua.MonitoredItemCreateResult], list[Item]]:
    """Create the items, as many per call as the server takes.

    Returns what became of each, and those that have no deadband because the server does not have it.
    """

    async def create(part: Sequence[Item]) -> Sequence[ua.MonitoredItemCreateResult]:
        heed_cancel()
        return await client.uaclient.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=subscription,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[_request(item, publishing_s) for item in part],
            )
        )

    size = await per_call(client, PER_MONITORED_ITEMS, _PER_CALL)
    results = await in_batches(create, items, size)
    refused = [i for i, item in enumerate(items) if item.deadband and results[i].StatusCode.value in _NO_FILTER]
    again = await in_batches(create, [replace(items[i], deadband=0.0) for i in refused], size)
    for i, result in zip(refused, again, strict=True):
        results[i] = result
    return results, [items[i] for i in refused]


async def forget(client: Client, subscription: int, items: Sequence[int]) -> None:
    """Delete monitored items by the server's numbers, which may not know them any more."""

    async def delete(part: Sequence[int]) -> Sequence[ua.StatusCode]:
        heed_cancel()
        return await client.uaclient.delete_monitored_items(
            ua.DeleteMonitoredItemsParameters(SubscriptionId=subscription, MonitoredItemIds=list(part))
        )

    await in_batches(delete, items, await per_call(client, PER_MONITORED_ITEMS, _PER_CALL))


def queue_size(item: Item, publishing_s: float) -> int:
    """Return how many values the server is to keep: twice what comes between two notifications, so never just one."""
    return 2 * math.ceil(publishing_s / item.sampling_s)


def _request(item: Item, publishing_s: float) -> ua.MonitoredItemCreateRequest:
    beyond = ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue,
        DeadbandType=ua.UInt32(item.deadband_type),
        DeadbandValue=ua.Double(item.deadband),
    )
    return ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=item.node, AttributeId=ua.AttributeIds.Value),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(
            ClientHandle=item.handle,
            SamplingInterval=item.sampling_s * 1000,
            Filter=beyond if item.deadband else None,
            QueueSize=queue_size(item, publishing_s),
            DiscardOldest=True,
        ),
    )
