"""Reading values: as many nodes per request as the server takes, decoded in columns (OPC 10000-4, 5.11.2)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from asyncua import Client, ua

from connectors._opcua.calls import PER_READ, in_batches, per_call
from connectors._opcua.decode import read_response
from connectors._opcua.publishing import checked
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Emit

_PER_CALL: Final = 1000
"""Nodes per call where the server names no limit, or a higher one."""


async def read(client: Client, nodes: Sequence[tuple[int, ua.NodeId]], emit: Emit, clock: Clock) -> None:
    """Read the values of nodes, each with the number of its tag, and emit them, a request after the other."""
    if not nodes:
        return

    async def ask(part: Sequence[tuple[int, ua.NodeId]]) -> Sequence[tuple[int, ua.NodeId]]:
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for _, node in part
        ]
        body = await client.uaclient._send_request(request)
        numbers = np.array([number for number, _ in part], np.uint32)
        emit(*read_response(checked(body), numbers, clock.now_ns()))
        heed_cancel()
        return part

    await in_batches(ask, nodes, await per_call(client, PER_READ, _PER_CALL))
