"""Calling methods of an OPC UA server: types as it declares them, once, and all that it says comes back."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Client, Server, ua

from connectors._opcua.methods import Methods
from connectors._opcua.options import MethodKeys
from connectors._opcua.structures import Structures
from gateway.contracts import DeviceError
from gateway.model.method import Called
from tests.servers import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

URI = "urn:test:methods"
TYPES = {
    "SByte": -128,
    "Byte": 255,
    "Int16": -32768,
    "UInt16": 65535,
    "Int32": -(2**31),
    "UInt32": 2**32 - 1,
    "Int64": -(2**53) - 1,
    "UInt64": 2**64 - 1,
    "Float": -0.5,
    "Double": 1e300,
    "Boolean": True,
    "String": "Grüße",
    "Duration": 2.5,
    "ServerState": 3,
}
"""A value of each type that can be handed over, and of two that are derived from such."""


def argument(name: str, type_: str, rank: int = -1) -> ua.Argument:
    return ua.Argument(Name=name, DataType=ua.NodeId(ua.Int32(getattr(ua.ObjectIds, type_))), ValueRank=ua.Int32(rank))


class Machine:
    """A server whose methods note what they were `told` and answer as a test wants."""

    def __init__(self) -> None:
        self.server = Server()
        self.url = f"opc.tcp://127.0.0.1:{free_port()}"
        self.told: list[tuple[ua.Variant, ...]] = []
        self.answer: Any = []
        self.begun = asyncio.Event()
        self.ends = asyncio.Event()

    async def start(self) -> None:
        await self.server.init()
        self.server.set_endpoint(self.url)
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        assert await self.server.register_namespace(URI) == 2
        every = [argument(name, name) for name in TYPES]
        await self.add("Every", every, [argument("Serial", "UInt64"), argument("Names", "String", 1)])
        await self.add("Plain", [], [])
        await self.add("Wave", [argument("Values", "Double", 1)], [])
        await self.add("Any", [argument("Value", "Number")], [])
        await self.add("Time", [argument("When", "UtcTime")], [])
        locked = await self.add("Locked", [], [])
        no = ua.DataValue(ua.Variant(False))
        await locked.write_attribute(ua.AttributeIds.UserExecutable, no)
        await self.server.start()

    async def add(self, name: str, inputs: list[ua.Argument], outputs: list[ua.Argument]) -> Any:
        place = ua.NodeId(ua.String(name), ua.Int16(2))
        return await self.server.nodes.objects.add_method(
            place, ua.QualifiedName(name, 2), self.called, inputs, outputs
        )

    async def called(self, _parent: ua.NodeId, *told: ua.Variant) -> Any:
        self.told.append(told)
        self.begun.set()
        if self.answer is None:
            await self.ends.wait()
            return []
        return self.answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Machine]:
    one = Machine()
    await one.start()
    yield one
    await one.server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def machine(served: Machine) -> Machine:
    served.told.clear()
    served.answer = []
    return served


def nothing(tag: str, event_id: str) -> str:
    """There are no alarms."""
    raise ValueError(f"{tag} {event_id}")


async def call(machine: Machine, name: str, arguments: Mapping[str, Any] | None = None, *, of: str = "i=85") -> Called:
    keys = MethodKeys.model_validate({"object": of, "method": f"nsu={URI};s={name}"})
    async with Client(machine.url) as client:
        types = Structures(await client.get_namespace_array())
        return await Methods({"it": keys}, nothing).call(client, types, "it", arguments or {})


async def test_every_type_is_handed_over_as_it_is_declared_whatever_the_order(machine: Machine) -> None:
    machine.answer = [ua.Variant(2**64 - 1, ua.VariantType.UInt64), ua.Variant(["a", "b"])]
    said = await call(machine, "Every", dict(reversed(TYPES.items())))
    assert said == Called(0, "Good", dict.fromkeys(TYPES, "Good"), {"Serial": 2**64 - 1, "Names": ["a", "b"]})
    (told,) = machine.told
    assert [variant.Value for variant in told] == list(TYPES.values())
    built_in = [*list(TYPES)[:-2], "Double", "Int32"]
    assert [variant.VariantType.name for variant in told] == built_in


async def test_a_method_without_arguments_is_called(machine: Machine) -> None:
    assert await call(machine, "Plain") == Called(0, "Good")
    assert machine.told == [()]


async def test_outputs_that_were_not_declared_are_told_by_number(machine: Machine) -> None:
    machine.answer = [ua.Variant(ua.LocalizedText("ready", "en"))]
    assert (await call(machine, "Plain")).outputs == {"output 1": "ready"}


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("Every", TYPES | {"Byte": 256}, "Byte: 256 does not fit Byte, which takes whole numbers from 0 to 255"),
        ("Every", TYPES | {"Boolean": "yes"}, "Boolean: 'yes' does not fit Boolean, which takes true or false"),
        ("Every", TYPES | {"String": True}, "String: True does not fit String, which takes text"),
        ("Every", TYPES | {"ServerState": 1.5}, "ServerState: 1.5 does not fit Int32, which takes whole numbers"),
        ("Plain", {"Force": True}, "the method of the server takes no arguments, and not Force: set arguments"),
        ("Wave", {}, "the method of the server takes Values, and not none: set arguments"),
        ("Wave", {"Values": 1.0}, "Values: it is an array; only single values can be handed over"),
        ("Any", {"Value": 1}, "Value: its type i=26 stands for several, so nobody knows how to hand it over"),
        ("Time", {"When": "now"}, "When: a value of type DateTime cannot be sent, only numbers, text, true and false"),
    ],
)
async def test_what_does_not_fit_is_told_and_not_called(
    method: str, arguments: dict[str, Any], said: str, machine: Machine
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        await call(machine, method, arguments)
    assert machine.told == []


async def test_what_the_server_says_against_it_is_told_by_name_and_argument(machine: Machine) -> None:
    refused = ua.CallMethodResult()
    refused.StatusCode = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadInvalidArgument))
    refused.InputArgumentResults = [ua.StatusCode(ua.UInt32(ua.StatusCodes.BadOutOfRange))]
    machine.answer = refused
    said = await call(machine, "Every", TYPES)
    others = {name: "Good" for name in TYPES if name != "SByte"}
    assert said == Called(0x80AB_0000, "BadInvalidArgument", {"SByte": "BadOutOfRange"} | others)


@pytest.mark.parametrize("code", ["BadInvalidState", "BadUserAccessDenied", "BadNotSupported"])
async def test_a_status_is_told_by_its_name(code: str, machine: Machine) -> None:
    machine.answer = ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, code)))
    assert (await call(machine, "Plain")).status == code


async def test_a_server_that_does_not_know_what_became_of_it_leaves_it_unknown(machine: Machine) -> None:
    machine.answer = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTimeout))
    with pytest.raises(ConnectionError, match="the server says BadTimeout"):
        await call(machine, "Plain")


async def test_a_method_that_may_not_be_called_is_not(machine: Machine) -> None:
    assert (await call(machine, "Locked")).status == "BadNotExecutable"
    assert machine.told == []


@pytest.mark.parametrize("node", ["nsu=urn:elsewhere;s=Plain", "/Objects/Nothing"])
async def test_an_object_that_is_not_there_is_told(node: str, machine: Machine) -> None:
    with pytest.raises(DeviceError, match="BadNodeIdUnknown: it has no node"):
        await call(machine, "Plain", of=node)


async def test_a_method_that_is_not_there_is_told(machine: Machine) -> None:
    assert (await call(machine, "Nothing")).status in ("BadNodeIdInvalid", "BadMethodInvalid")


async def test_a_line_that_breaks_meanwhile_is_an_os_error_and_the_method_was_called_once(machine: Machine) -> None:
    machine.answer = None
    machine.begun.clear()
    keys = MethodKeys.model_validate({"object": "i=85", "method": f"nsu={URI};s=Plain"})
    async with Client(machine.url) as client:

        async def asked() -> None:
            with pytest.raises(ConnectionError):
                await Methods({"it": keys}, nothing).call(client, Structures(), "it", {})

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asked())
            await machine.begun.wait()
            client.disconnect_socket()
    machine.ends.set()
    assert len(machine.told) == 1
