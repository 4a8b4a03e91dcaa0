"""The services of the OPC UA server of the bench, for one session (OPC 10000-4, 5).

Publish and Read take the short way: their requests are not decoded, or only once, and the answers were encoded before.
The rest, which only sets the stage, is asyncua's types. A subscription whose publishing interval is 0 notifies as
fast as Publish requests come, another at its pace; there are no keep-alives, for items always change.
"""

import asyncio
import itertools
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from gateway.bench.opcua_canned import NAMESPACES, SCANS, Image, Subscription, exists, now, refused, value

_PUBLISHES_MAX: Final = 100
_READS_KEPT: Final = 16
_NO_DIAGNOSTICS: Final = struct.pack("<i", -1)
_RESPONSE: Final = struct.Struct("<BBHqIIBiHB")
"""Type; time, handle, result, no diagnostics, no strings, no more (OPC 10000-4, 7.33)."""
_NODE_ID_BYTES: Final = {0: 2, 1: 4, 2: 7}
"""Of a numeric node id, by its first byte (OPC 10000-6, 5.2.2.9)."""
_READ: Final = ua.ObjectIds.ReadRequest_Encoding_DefaultBinary
_PUBLISH: Final = ua.ObjectIds.PublishRequest_Encoding_DefaultBinary
_REPUBLISH: Final = ua.ObjectIds.RepublishRequest_Encoding_DefaultBinary


class _Publish(NamedTuple):
    """A Publish request that waits for its answer; `results` is what became of the acknowledgements in it."""

    number: int
    handle: int
    results: bytes


class _Fault(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"{status:#010x}")
        self.status = status


class Session:
    """Takes requests by number and encoded, and gives answers to `answer` the same way, now or later."""

    def __init__(self, url: str, number: int, answer: Callable[[int, bytes], None]) -> None:
        self._url = url
        self._id = ua.FourByteNodeId(ua.Int32(number % 0x10000), ua.Int16(1))
        self._answer = answer
        self._active = False
        self._numbers = itertools.count(1)
        self._subscriptions: dict[int, Subscription] = {}
        self._waiting: deque[_Publish] = deque()
        self._later: asyncio.TimerHandle | None = None
        self._reads: dict[bytes, list[Image]] = {}
        self._read_scan = 0

    def take(self, number: int, message: bytes) -> None:
        """Answer a request, or keep it if it is Publish."""
        (service,) = struct.unpack_from("<H", message, 2)
        handle, rest = _header(message)
        try:
            if service == _PUBLISH:
                self._publish(number, handle, rest)
            elif service == _READ:
                self._answer(number, self._read(handle, message, rest))
            elif service == _REPUBLISH:
                self._answer(number, self._republish(handle, rest))
            else:
                self._answer(number, self._serve(service, handle, message))
        except _Fault as fault:
            self._refuse(number, handle, fault.status)

    def end(self) -> None:
        """Forget everything; nothing is answered any more."""
        self._active = False
        self._subscriptions.clear()
        self._waiting.clear()
        self._flush()

    # --- Publish: OPC 10000-4, 5.14.5 and 5.14.6 ---

    def _publish(self, number: int, handle: int, rest: bytes) -> None:
        if not self._subscriptions:
            raise _Fault(ua.StatusCodes.BadNoSubscription)
        if len(self._waiting) >= _PUBLISHES_MAX:
            raise _Fault(ua.StatusCodes.BadTooManyPublishRequests)
        acknowledged = struct.iter_unpack("<II", rest[4:])
        results = [self._acknowledge(subscription, sequence) for subscription, sequence in acknowledged]
        self._waiting.append(_Publish(number, handle, struct.pack(f"<i{len(results)}I", len(results), *results)))
        self._flush()

    def _acknowledge(self, number: int, sequence: int) -> int:
        subscription = self._subscriptions.get(number)
        if subscription is None:
            return ua.StatusCodes.BadSubscriptionIdInvalid
        known = subscription.kept.pop(sequence, None)
        return ua.StatusCodes.Good if known else ua.StatusCodes.BadSequenceNumberUnknown

    def _flush(self) -> None:
        """Answer Publish requests with what is due, and come back when the next is."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        while self._waiting and not self._subscriptions:
            publish = self._waiting.popleft()
            self._refuse(publish.number, publish.handle, ua.StatusCodes.BadNoSubscription)
        while self._waiting and (ready := [one for one in self._subscriptions.values() if not one.empty]):
            first, now_s = min(ready, key=lambda one: one.due_s), time.monotonic()
            if first.due_s > now_s:
                self._later = asyncio.get_running_loop().call_later(first.due_s - now_s, self._flush)
                return
            first.sent(now_s)
            publish = self._waiting.popleft()
            self._answer(publish.number, self._notification(publish, first))

    def _notification(self, publish: _Publish, subscription: Subscription) -> bytes:
        ticks = now()
        message = subscription.notify(ticks)
        kept = subscription.kept
        available = struct.pack(f"<Ii{len(kept)}I?", subscription.number, len(kept), *kept, False)
        head = _response(ua.ObjectIds.PublishResponse_Encoding_DefaultBinary, ticks, publish.handle)
        return b"".join((head, available, message, publish.results, _NO_DIAGNOSTICS))

    def _republish(self, handle: int, rest: bytes) -> bytes:
        number, sequence = struct.unpack("<II", rest)
        if number not in self._subscriptions:
            raise _Fault(ua.StatusCodes.BadSubscriptionIdInvalid)
        message = self._subscriptions[number].kept.get(sequence)
        if message is None:
            raise _Fault(ua.StatusCodes.BadMessageNotAvailable)
        return _response(ua.ObjectIds.RepublishResponse_Encoding_DefaultBinary, now(), handle) + message

    # --- Read: OPC 10000-4, 5.11.2 ---

    def _read(self, handle: int, message: bytes, rest: bytes) -> bytes:
        """A request that came before has its answers encoded; the next scan is the turn at every read."""
        if not self._active:
            raise _Fault(ua.StatusCodes.BadSessionNotActivated)
        images = self._reads.get(rest)
        if images is None:
            nodes = struct_from_binary(ua.ReadRequest, Buffer(message)).Parameters.NodesToRead
            images = [Image(_values(nodes, scan)) for scan in range(SCANS)]
            if len(self._reads) >= _READS_KEPT:
                del self._reads[next(iter(self._reads))]
            self._reads[rest] = images
        self._read_scan += 1
        ticks = now()
        head = _response(ua.ObjectIds.ReadResponse_Encoding_DefaultBinary, ticks, handle)
        return head + images[self._read_scan % SCANS].at(ticks)

    # --- what sets the stage ---

    def _serve(self, service: int, handle: int, message: bytes) -> bytes:
        if service not in _SERVICES:
            raise _Fault(ua.StatusCodes.BadServiceUnsupported)
        kind, serve = _SERVICES[service]
        if not self._active and kind not in _BEFORE_ACTIVE:
            raise _Fault(ua.StatusCodes.BadSessionNotActivated)
        response = serve(self, struct_from_binary(kind, Buffer(message)))
        response.ResponseHeader.RequestHandle = handle
        return struct_to_binary(response)

    def _endpoints(self, request: ua.GetEndpointsRequest) -> ua.GetEndpointsResponse:
        return ua.GetEndpointsResponse(Endpoints=[_endpoint(self._url)])

    def _create(self, request: ua.CreateSessionRequest) -> ua.CreateSessionResponse:
        response = ua.CreateSessionResponse()
        response.Parameters.SessionId = response.Parameters.AuthenticationToken = self._id
        response.Parameters.RevisedSessionTimeout = request.Parameters.RequestedSessionTimeout
        response.Parameters.ServerEndpoints = [_endpoint(self._url)]
        return response

    def _activate(self, request: ua.ActivateSessionRequest) -> ua.ActivateSessionResponse:
        if request.RequestHeader.AuthenticationToken != self._id:
            raise _Fault(ua.StatusCodes.BadSessionIdInvalid)
        self._active = True
        return ua.ActivateSessionResponse()

    def _close(self, request: ua.CloseSessionRequest) -> ua.CloseSessionResponse:
        self.end()
        return ua.CloseSessionResponse()

    def _subscribe(self, request: ua.CreateSubscriptionRequest) -> ua.CreateSubscriptionResponse:
        wanted, response = request.Parameters, ua.CreateSubscriptionResponse()
        number = next(self._numbers)
        self._subscriptions[number] = Subscription(number, wanted.RequestedPublishingInterval / 1000)
        response.Parameters.SubscriptionId = ua.UInt32(number)
        response.Parameters.RevisedPublishingInterval = wanted.RequestedPublishingInterval
        response.Parameters.RevisedLifetimeCount = wanted.RequestedLifetimeCount
        response.Parameters.RevisedMaxKeepAliveCount = wanted.RequestedMaxKeepAliveCount
        return response

    def _monitor(self, request: ua.CreateMonitoredItemsRequest) -> ua.CreateMonitoredItemsResponse:
        subscription = self._subscriptions.get(request.Parameters.SubscriptionId)
        if subscription is None:
            raise _Fault(ua.StatusCodes.BadSubscriptionIdInvalid)
        results = [_monitored(subscription, item) for item in request.Parameters.ItemsToCreate]
        asyncio.get_running_loop().call_soon(self._flush)  # behind the answer, which tells the client of the items
        return ua.CreateMonitoredItemsResponse(Results=results)

    def _unsubscribe(self, request: ua.DeleteSubscriptionsRequest) -> ua.DeleteSubscriptionsResponse:
        gone = [self._subscriptions.pop(number, None) for number in request.Parameters.SubscriptionIds]
        self._flush()
        codes = [ua.StatusCodes.Good if one else ua.StatusCodes.BadSubscriptionIdInvalid for one in gone]
        return ua.DeleteSubscriptionsResponse(Results=[ua.StatusCode(ua.UInt32(code)) for code in codes])

    def _refuse(self, number: int, handle: int, status: int) -> None:
        fault = ua.ServiceFault()
        fault.ResponseHeader.RequestHandle = ua.UInt32(handle)
        fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.UInt32(status))
        self._answer(number, struct_to_binary(fault))


def _header(message: bytes) -> tuple[int, bytes]:
    """Return the handle of a request and what stands behind its header (OPC 10000-4, 7.32), which has no extras."""
    at = 4 + _NODE_ID_BYTES[message[4]]
    handle, audit_bytes = struct.unpack_from("<8xI4xi", message, at)
    return handle, message[at + 27 + max(0, audit_bytes) :]


def _response(service: int, ticks: int, handle: int) -> bytes:
    return _RESPONSE.pack(1, 0, service, ticks, handle, ua.StatusCodes.Good, 0, 0, 0, 0)


def _values(nodes: Sequence[ua.ReadValueId], scan: int) -> bytes:
    """Results of a read and no diagnostics."""
    parts = [_value(item, scan) for item in nodes]
    return struct.pack("<i", len(parts)) + b"".join(parts) + _NO_DIAGNOSTICS


def _value(item: ua.ReadValueId, scan: int) -> bytes:
    if not exists(item.NodeId):
        return refused(ua.StatusCodes.BadNodeIdUnknown)
    if item.AttributeId != ua.AttributeIds.Value:
        return refused(ua.StatusCodes.BadAttributeIdInvalid)
    return value(item.NodeId, scan)


def _monitored(subscription: Subscription, item: ua.MonitoredItemCreateRequest) -> ua.MonitoredItemCreateResult:
    node, wanted = item.ItemToMonitor.NodeId, item.RequestedParameters
    if not exists(node):
        return ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown)))
    return ua.MonitoredItemCreateResult(
        MonitoredItemId=ua.UInt32(subscription.add(wanted.ClientHandle, node)),
        RevisedSamplingInterval=wanted.SamplingInterval,
        RevisedQueueSize=wanted.QueueSize,
    )


def _endpoint(url: str) -> ua.EndpointDescription:
    return ua.EndpointDescription(
        EndpointUrl=url,
        Server=ua.ApplicationDescription(ApplicationUri=NAMESPACES[1], ApplicationType=ua.ApplicationType.Server),
        SecurityMode=ua.MessageSecurityMode.None_,
        SecurityPolicyUri="http://opcfoundation.org/UA/SecurityPolicy#None",
        UserIdentityTokens=[ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)],
        TransportProfileUri="http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary",
    )


_SERVICES: Final[dict[int, tuple[type, Callable[[Session, Any], Any]]]] = {
    kind().TypeId.Identifier: (kind, serve)
    for kind, serve in (
        (ua.GetEndpointsRequest, Session._endpoints),
        (ua.CreateSessionRequest, Session._create),
        (ua.ActivateSessionRequest, Session._activate),
        (ua.CloseSessionRequest, Session._close),
        (ua.CreateSubscriptionRequest, Session._subscribe),
        (ua.CreateMonitoredItemsRequest, Session._monitor),
        (ua.DeleteSubscriptionsRequest, Session._unsubscribe),
    )
}
_BEFORE_ACTIVE: Final = (ua.GetEndpointsRequest, ua.CreateSessionRequest, ua.ActivateSessionRequest)
