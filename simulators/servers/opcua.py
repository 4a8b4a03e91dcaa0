"""The OPC UA server of the four machines, with the faults of its link.

Values are written only when they changed, with the wall-clock time at which the instrument showed them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

import numpy as np
from asyncua import Server, ua
from asyncua.common.callback import CallbackType
from numpy.typing import NDArray

from simulators.faults import Faults
from simulators.physics.line import MACHINES
from simulators.physics.vibration import SAMPLE_RATE
from simulators.servers import nodes
from simulators.servers.nodes import Tag
from simulators.servers.registers import Value

NAME: Final = "opcua"
WAVEFORM: Final = f"{nodes.PUMP}/{nodes.WAVEFORM}"
SLOW_UNITS: Final = {"°C", "%", "mm"}  # what has these units, or is a clock, is slow


class OpcUaServer:
    """The server of all machines.

    `put` is called with the name (`device/name`) and value of a set point that a client writes, and raises
    ValueError if the value is out of range; the node then takes its old value again.
    """

    name: Final = NAME

    def __init__(self, host: str, port: int, faults: Faults, put: Callable[[str, float], None]) -> None:
        self.host = host
        self.port = port
        self.listening = False
        self._faults = faults
        self._put = put
        self._server = Server()
        self._tags = nodes.tags()
        self._node_ids: dict[str, ua.NodeId] = {}
        self._names: dict[ua.NodeId, str] = {}
        self._shown: dict[str, Value | None] = {}
        self._late: deque[tuple[float, ua.NodeId, ua.DataValue]] = deque()

    async def create(self, values: Mapping[str, Value], block: NDArray[np.float64]) -> None:
        """Build the address space, with first values; it takes about a second."""
        server = self._server
        await server.init()
        server.set_server_name("Bottling line")
        await server.set_application_uri("urn:acme:bottling-line")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        server.allow_remote_admin(False)
        first = {tag.name: _variant(tag, values[tag.name]) for tag in self._tags}
        first |= {WAVEFORM: _array(block), f"{nodes.PUMP}/{nodes.SAMPLE_RATE}": ua.Variant(float(SAMPLE_RATE))}
        for device in (*MACHINES, nodes.PUMP):
            namespace = await server.register_namespace(f"urn:acme:{device}")
            items = nodes.machine_items(device, namespace)
            for tag in (*self._tags, *nodes.pump_tags()):
                if tag.device == device:
                    self._node_ids[tag.name] = nodes.node_id(tag.path, namespace)
                    items += nodes.tag_items(tag, namespace, first[tag.name])
            for result in await server.iserver.isession.add_nodes(items):
                result.StatusCode.check()
        self._names = {node_id: name for name, node_id in self._node_ids.items()}
        self._shown = {tag.name: values[tag.name] for tag in self._tags}
        server.subscribe_server_callback(CallbackType.PreRead, self._be_slow)
        server.subscribe_server_callback(CallbackType.PostWrite, self._written)

    async def open(self) -> None:
        """Listen; OSError if the port is taken."""
        if self._server.bserver is None:
            self._server.set_endpoint(f"opc.tcp://{self.host}:{self.port}")
            await self._server.start()
        else:
            await self._server.bserver.start()
        self.listening = True

    async def close(self) -> None:
        """Drop all clients and refuse new ones; sessions may come back."""
        if self.listening and self._server.bserver is not None:
            self.listening = False
            await self._server.bserver.stop()

    async def stop(self) -> None:
        """Close for good."""
        await self.close()
        await self._server.iserver.stop()

    async def update(self, values: Mapping[str, Value], stamp: datetime, *, slow_too: bool) -> None:
        """Write the values that changed, by name (`device/name`); slow ones only if asked."""
        slow = self._faults.get("slow_answers", NAME)
        due = asyncio.get_running_loop().time() + (slow.fault.delay if slow else 0.0)
        for tag in self._tags:
            if not slow_too and _slow(tag):
                continue
            bad = self._faults.get("exceptions", tag.name)
            value = None if bad else values[tag.name]
            if value != self._shown[tag.name]:
                self._shown[tag.name] = value
                data = _bad(bad.fault.code, stamp) if bad else _good(_variant(tag, values[tag.name]), stamp)
                self._late.append((due, self._node_ids[tag.name], data))
        await self._write_due()

    async def show_waveform(self, block: NDArray[np.float64], stamp: datetime) -> None:
        """Write a new snapshot of acceleration [m/s2]."""
        data = _good(_array(block), stamp)
        await self._server.write_attribute_value(self._node_ids[WAVEFORM], data)

    async def _write_due(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._late and self._late[0][0] <= now:
            _, node_id, data = self._late.popleft()
            await self._server.write_attribute_value(node_id, data)

    async def _be_slow(self, event: Any, _service: Any) -> None:
        """Let a client wait for what it reads."""
        slow = self._faults.get("slow_answers", NAME)
        if slow is not None and event.is_external:
            await asyncio.sleep(slow.fault.delay)

    async def _written(self, event: Any, _service: Any) -> None:
        """Take over a set point that a client has written; one out of range goes back to what it was."""
        if not event.is_external:
            return
        for i, write in enumerate(event.request_params.NodesToWrite):
            name = self._names.get(write.NodeId)
            if name is None or not event.response_params[i].is_good():
                continue
            try:
                value = float(write.Value.Value.Value)
                self._put(name, value)
            except ValueError:
                event.response_params[i] = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadOutOfRange))
                before = ua.Variant(self._shown[name], ua.VariantType.Double)
                await self._server.write_attribute_value(write.NodeId, _good(before, datetime.now(UTC)))
            else:
                self._shown[name] = value


def _slow(tag: Tag) -> bool:
    unit = tag.instrument.unit if tag.instrument else ""
    return unit in SLOW_UNITS or tag.name.endswith("/state_current_time")


def _variant(tag: Tag, value: Value) -> ua.Variant:
    """Return a value in its type; counters roll over at 32 bits, as the ones of PackML do."""
    if tag.type is ua.VariantType.Int32:
        return ua.Variant((int(value) + 2**31) % 2**32 - 2**31, tag.type)
    if tag.type is ua.VariantType.UInt32:
        return ua.Variant(int(value) % 2**32, tag.type)
    return ua.Variant(value, tag.type)


def _array(block: NDArray[np.float64]) -> ua.Variant:
    return ua.Variant(block.astype(np.float32).tolist(), ua.VariantType.Float)


def _good(value: ua.Variant, stamp: datetime) -> ua.DataValue:
    return _data(value, ua.StatusCode(), stamp)


def _bad(code: str, stamp: datetime) -> ua.DataValue:
    return _data(None, ua.StatusCode(getattr(ua.StatusCodes, code or "BadSensorFailure")), stamp)


def _data(value: ua.Variant | None, status: ua.StatusCode, stamp: datetime) -> ua.DataValue:
    moment = cast("ua.DateTime", stamp)  # asyncua annotates its own subclass, and takes any datetime
    return ua.DataValue(value, status, SourceTimestamp=moment, ServerTimestamp=moment)
