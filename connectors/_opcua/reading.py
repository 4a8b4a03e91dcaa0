"""Reading values: as many nodes per request as the server takes, encoded once, decoded in columns.

OPC 10000-4, 5.11.2. asyncua makes objects of all that a request asks for, each time.
"""

import asyncio
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_to_binary

from connectors._opcua.calls import PER_READ, TOO_LARGE, per_call
from connectors._opcua.decode import read_response
from connectors._opcua.publishing import checked
from connectors._opcua.structures import Structures
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Emit

Nodes = Sequence[tuple[int, ua.NodeId]]
"""Nodes, each with the number of its tag."""

_PER_CALL: Final = 1000
"""Nodes per call where the server names no limit, or a higher one."""
_COUNT_BYTES: Final = 4


async def read(client: Client, nodes: Nodes, emit: Emit, clock: Clock, types: Structures) -> None:
    """Read the values of nodes once, as Reading does."""
    await Reading(client, nodes, clock, types).read(emit)


class Reading:
    """A read of the same nodes, again and again, over one connection."""

    def __init__(self, client: Client, nodes: Nodes, clock: Clock, types: Structures) -> None:
        self._client = client
        self._clock = clock
        self._types = types
        self._left: Nodes = nodes
        self._parts: list[_Part] = []

    async def read(self, emit: Emit) -> None:
        """Read the values of all nodes and emit them, a request after the other.

        Raises UaError or DecodeError if the server does not give them, OSError if it is gone or does not answer.
        """
        if self._left:
            limit = await per_call(self._client, PER_READ, _PER_CALL)
            self._parts = [_Part(self._left[start : start + limit]) for start in range(0, len(self._left), limit)]
            self._left = ()
        done = 0
        while done < len(self._parts):
            part = self._parts[done]
            try:
                body = await _answer(self._client, part)
            except ua.UaStatusCodeError as error:
                if error.code not in TOO_LARGE or len(part.nodes) == 1:
                    raise
                middle = len(part.nodes) // 2
                self._parts[done : done + 1] = [_Part(part.nodes[:middle]), _Part(part.nodes[middle:])]
                continue
            decode = partial(read_response, body, part.numbers, self._clock.now_ns(), self._types)
            emit(*await self._types.decoded(self._client, decode))
            done += 1


class _Part:
    """What is read with one request."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.numbers = np.array([number for number, _ in nodes], np.uint32)

    @cached_property
    def body(self) -> bytes:
        """The encoded end of the request, which names the nodes; made when it is asked for: the first cannot wait."""
        request = _request()
        request.Parameters.NodesToRead = [
            ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for _, node in self.nodes
        ]
        return struct_to_binary(request)[len(struct_to_binary(_request())) - _COUNT_BYTES :]


def _request() -> ua.ReadRequest:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    request.Parameters.NodesToRead = []
    return request


async def _answer(client: Client, part: _Part) -> bytes:
    timeout_s = client.uaclient._timeout
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _sent(client, part, timeout_s)
    except TimeoutError:
        raise TimeoutError(f"no answer to a read within {timeout_s:g} s") from None
    heed_cancel()
    return checked(answer)


def _sent(client: Client, part: _Part, timeout_s: float) -> "asyncio.Future[Any]":
    """Send a request that is encoded already but for its header."""
    channel = client.uaclient.protocol
    if channel is None or channel.transport is None:
        raise ConnectionError("connection is closed")
    request = _request()
    channel._setup_request_header(request.RequestHeader, timeout_s)
    message = struct_to_binary(request)[:-_COUNT_BYTES] + part.body
    channel.revolve_security_token()
    channel._request_id += 1
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel._callbackmap[channel._request_id] = answer
    channel.transport.write(channel._connection.message_to_binary(message, request_id=channel._request_id))
    return answer
