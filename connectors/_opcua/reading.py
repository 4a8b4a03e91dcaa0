"""Reading values: as many nodes per request as the server takes, encoded once, decoded in columns.

OPC 10000-4, 5.11.2. asyncua makes objects of all that a request asks for, each time.
"""

import asyncio
import struct
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from asyncua import Client, ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary

from connectors._opcua.calls import PER_READ, TOO_LARGE, per_call
from connectors._opcua.decode import read_response
from connectors._opcua.publishing import checked
from connectors._opcua.structures import Structures
from connectors._opcua.variants import ticks
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Emit

Nodes = Sequence[tuple[int, ua.NodeId]]
"""Nodes, each with the number of its tag."""

_PER_CALL: Final = 1000
"""Nodes per call where the server names no limit, or a higher one."""
_TYPE_BYTES: Final = 4
"""Of a request, before its header: the id of its type."""
_STAMP: Final = struct.Struct("<qI")
"""Time and number of a request, behind the token of the session (OPC 10000-4, 7.32)."""


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
                body = await _answer(self._client, part, self._clock.now_ns())
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
    """What is read with one request, which is encoded once, when it is first asked for: other parts cannot wait."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.numbers = np.array([number for number, _ in nodes], np.uint32)
        self._header = ua.RequestHeader()
        self._encoded = bytearray()
        self._stamp_at = 0

    def request(self, header: ua.RequestHeader, now_ns: int) -> bytes:
        """Return the encoded request; from one to the next, time and number in its header change."""
        if not self._encoded or header.AuthenticationToken != self._header.AuthenticationToken:
            self._header = header
            self._encoded = bytearray(struct_to_binary(self._request(header)))
            self._stamp_at = _TYPE_BYTES + len(nodeid_to_binary(header.AuthenticationToken))
        _STAMP.pack_into(self._encoded, self._stamp_at, ticks(now_ns), header.RequestHandle)
        return bytes(self._encoded)

    def _request(self, header: ua.RequestHeader) -> ua.ReadRequest:
        request = ua.ReadRequest(RequestHeader=header)
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for _, node in self.nodes
        ]
        return request


async def _answer(client: Client, part: _Part, now_ns: int) -> bytes:
    timeout_s = client.uaclient._timeout
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _sent(client, part, timeout_s, now_ns)
    except TimeoutError:
        raise TimeoutError(f"no answer to a read within {timeout_s:g} s") from None
    heed_cancel()
    return checked(answer)


def _sent(client: Client, part: _Part, timeout_s: float, now_ns: int) -> "asyncio.Future[Any]":
    channel = client.uaclient.protocol
    if channel is None or channel.transport is None:
        raise ConnectionError("connection is closed")
    header = ua.RequestHeader()
    channel._setup_request_header(header, timeout_s)
    message = part.request(header, now_ns)
    channel.revolve_security_token()
    channel._request_id += 1
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel._callbackmap[channel._request_id] = answer
    channel.transport.write(channel._connection.message_to_binary(message, request_id=channel._request_id))
    return answer
