"""What every connector must do (Connector in gateway/contracts), whatever its protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from asyncua import ua

from connectors._pace import heed_cancel
from gateway.clock import SystemClock
from gateway.contracts import Connector, Describe, Device, DeviceError, nobody_asks
from gateway.model import Batch, Tag
from gateway.plugins import Protocols
from tests import servers, speakers

PATIENCE_S = 15.0
_PAUSE_S = 0.05


@dataclass(frozen=True)
class Rig:
    """A protocol under test: how to start its server, what its tags are, and how the server changes one of them."""

    scheme: str
    server: Callable[[], AbstractAsyncContextManager[Any]]
    url: Callable[[Any], str]
    device: dict[str, Any]
    tags: dict[str, dict[str, Any]]
    expected: dict[str, Any]
    missing: dict[str, Any]
    change: Callable[[Any, float], Any]


async def _set_register(rig: servers.ModbusRig, value: float) -> None:
    rig.inputs[0:2] = np.array([value], ">f4").view(">u2").tolist()


async def _set_node(rig: servers.OpcUaRig, value: float) -> None:
    await rig.set("Temperature", ua.Variant(value, ua.VariantType.Double))


@asynccontextmanager
async def _modbus() -> AsyncIterator[servers.ModbusRig]:
    async with servers.modbus() as rig:
        await _set_register(rig, 20.5)
        rig.holding[10:12] = [7, 0]
        rig.holding[20:24] = [0xFFFF] * 4
        rig.holding[30:33] = [0x4772, 0xC3BC, 0xC39F]
        rig.coils[5] = True
        yield rig


async def _set_value(rig: speakers.Speaker, value: float) -> None:
    rig.values["temperature"] = value


NODE = f"nsu={servers.OpcUaRig.URI};s="

RIGS = {
    "modbus": Rig(
        scheme="modbus",
        server=_modbus,
        url=lambda rig: f"modbus://127.0.0.1:{rig.port}?unit=1",
        device={"poll": "50ms", "timeout": "300ms"},
        tags={
            "temperature": {"register": "input:0", "type": "float32"},
            "count": {"register": "holding:10", "type": "uint32", "order": "CDAB"},
            "big": {"register": "holding:20", "type": "uint64"},
            "running": {"register": "coil:5"},
            "recipe": {"register": "holding:30", "type": "string", "length": 3},
        },
        expected={"temperature": 20.5, "count": 7, "big": 2**64 - 1, "running": True, "recipe": "Grüß"},
        missing={"register": "holding:9000"},
        change=_set_register,
    ),
    "opcua": Rig(
        scheme="opc.tcp",
        server=servers.opcua,
        url=lambda rig: rig.url,
        device={"publishing": "50ms", "sampling": "50ms", "timeout": "500ms"},
        tags={
            "temperature": {"node": NODE + "Temperature"},
            "count": {"node": NODE + "Count"},
            "big": {"node": NODE + "Big"},
            "running": {"node": NODE + "Running"},
            "recipe": {"node": NODE + "Recipe"},
        },
        expected={"temperature": 20.5, "count": 7, "big": 2**64 - 1, "running": True, "recipe": "Grüße"},
        missing={"node": NODE + "Nothing"},
        change=_set_node,
    ),
    "sensors": Rig(
        scheme="mqtt",
        server=lambda: speakers.speaker(say=speakers.Speaker.sensors),
        url=lambda rig: rig.url,
        device={"timeout": "500ms"},
        tags={
            "temperature": {"topic": "hall/air", "value": "$.t.c", "time": "$.ts", "time_unit": "ms"},
            "count": {"topic": "hall/count"},
            "big": {"topic": "hall/big", "type": "integer"},
            "running": {"topic": "hall/running"},
            "recipe": {"topic": "hall/recipe"},
        },
        expected={"temperature": 20.5, "count": 7, "big": 2**64 - 1, "running": True, "recipe": "Grüße"},
        missing={"topic": "hall/nothing"},
        change=_set_value,
    ),
    "batches, embedded broker": Rig(
        scheme="mqtt",
        server=lambda: speakers.speaker(servers.nats, speakers.Speaker.batch),
        url=lambda rig: rig.url,
        device={"timeout": "500ms", "batch": speakers.ASSET},
        tags={"temperature": {}, "count": {}, "big": {"type": "integer"}, "running": {}, "recipe": {}},
        expected={"temperature": 20.5, "count": 7, "big": 2**64 - 1, "running": True, "recipe": "Grüße"},
        missing={"name": "nothing"},
        change=_set_value,
    ),
    "sparkplug": Rig(
        scheme="mqtt",
        server=lambda: speakers.speaker(say=speakers.Speaker.edge_node),
        url=lambda rig: rig.url,
        device={"timeout": "500ms", "sparkplug": "g/n/press"},
        tags={"temperature": {}, "count": {}, "big": {}, "running": {}, "recipe": {}},
        expected={"temperature": 20.5, "count": 7, "big": 2**64 - 1, "running": True, "recipe": "Grüße"},
        missing={"name": "nothing"},
        change=_set_value,
    ),
}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Rig:
    return RIGS[request.param]


class Heard:
    """An Emit that keeps what it was given, by name of the tag."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.value: dict[str, Any] = {}
        self.quality: dict[str, int] = {}
        self.batches: list[Batch] = []
        self._news = asyncio.Event()

    def __call__(self, *batches: Batch) -> None:
        for batch in batches:
            self.batches.append(batch)
            columns = (batch.tag.tolist(), batch.value.tolist(), batch.quality.tolist())
            for number, value, code in zip(*columns, strict=True):
                self.value[self.names[number]] = value
                self.quality[self.names[number]] = code
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self._news.clear()
                await self._news.wait()


def build(
    rig: Rig,
    url: str,
    tags: dict[str, dict[str, Any]] | None = None,
    device: dict[str, Any] | None = None,
    deadband: float = 0.0,
    span: tuple[float, float] | tuple[None, None] = (None, None),
    describe: Describe = nobody_asks,
) -> tuple[Connector, Heard]:
    protocol = Protocols()[urlsplit(url).scheme]
    wanted = rig.tags if tags is None else tags
    one = Device(
        name="d",
        url=url,
        options=protocol.DeviceOptions(**rig.device | (device or {})),
        tags=[Tag("plant/d", name, deadband=deadband, low=span[0], high=span[1]) for name in wanted],
        numbers=np.arange(len(wanted), dtype=np.uint32),
        tag_options=[protocol.TagOptions(**keys) for keys in wanted.values()],
        describe=describe,
    )
    return protocol.connector(one, SystemClock()), Heard(list(wanted))


@asynccontextmanager
async def running(connector: Connector, heard: Heard) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(connector.run(heard))
        yield
        task.cancel()


@asynccontextmanager
async def again_and_again(run: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run a connector anew whenever it is lost, as the supervisor does, without its patience."""

    async def keep() -> None:
        while True:
            with suppress(OSError, DeviceError):
                await run()
            heed_cancel()
            await asyncio.sleep(_PAUSE_S)

    async with asyncio.timeout(3 * PATIENCE_S), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(keep())
        yield
        keeping.cancel()


async def test_every_tag_is_read_with_its_value(rig: Rig) -> None:
    async with rig.server() as server:
        connector, heard = build(rig, rig.url(server))
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == set(rig.tags))
    assert heard.value == rig.expected
    assert set(heard.quality.values()) == {0}


async def test_a_change_arrives(rig: Rig) -> None:
    async with rig.server() as server:
        connector, heard = build(rig, rig.url(server))
        async with running(connector, heard):
            await heard.until(lambda: "temperature" in heard.value)
            await rig.change(server, -3.25)
            await heard.until(lambda: heard.value["temperature"] == -3.25)


async def test_one_tag_that_is_not_there_spoils_no_other(rig: Rig) -> None:
    async with rig.server() as server:
        connector, heard = build(rig, rig.url(server), {**rig.tags, "missing": rig.missing})
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == {*rig.tags, "missing"})
    assert {name: heard.value[name] for name in rig.tags} == rig.expected
    assert heard.quality.pop("missing") >> 30 == 2
    assert set(heard.quality.values()) == {0}


async def test_a_device_that_is_not_there_is_an_os_error(rig: Rig) -> None:
    connector, heard = build(rig, f"{rig.scheme}://127.0.0.1:{servers.free_port()}")
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        async with asyncio.timeout(PATIENCE_S):
            await connector.run(heard)
    assert not heard.batches


async def test_a_device_that_accepts_and_is_silent_is_a_timeout(rig: Rig) -> None:
    port = servers.free_port()
    connector, heard = build(rig, f"{rig.scheme}://127.0.0.1:{port}")
    async with servers.black_hole(port):
        with pytest.raises(TimeoutError, match="no answer within"):
            await connector.run(heard)
    assert all(code >> 30 == 2 for code in heard.quality.values())


async def test_a_device_that_goes_away_ends_the_run(rig: Rig) -> None:
    async with rig.server() as server:
        connector, heard = build(rig, rig.url(server))

        async def lost() -> Exception | None:
            try:
                await connector.run(heard)
            except (OSError, DeviceError) as error:
                return error
            return None

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(lost())
            await heard.until(lambda: set(heard.value) == set(rig.tags))
            await server.stop()
            assert await task is not None


async def test_it_can_run_again_after_it_was_lost(rig: Rig) -> None:
    async with rig.server() as server:
        connector, heard = build(rig, rig.url(server))
        for _ in range(2):
            heard.value.clear()
            async with running(connector, heard):
                await heard.until(lambda: set(heard.value) == set(rig.tags))
    assert heard.value == rig.expected


async def test_it_can_be_stopped_at_any_moment(rig: Rig) -> None:
    """A cancel counts whatever the connector waits for, and leaves no task behind."""
    async with rig.server() as server:
        before = asyncio.all_tasks()
        for turns in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233]:
            connector, heard = build(rig, rig.url(server))
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
                task = tasks.create_task(connector.run(heard))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
            assert task.cancelled()
        await asyncio.sleep(0)
        left = map(str, asyncio.all_tasks() - before)  # the server's own tasks are not what is looked for
        assert not [task for task in left if "asyncua/client" in task or "connectors" in task]


async def test_batches_are_of_the_tags_of_the_device_only(rig: Rig) -> None:
    async with rig.server() as server:
        connector, heard = build(rig, rig.url(server))
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == set(rig.tags))
    now = SystemClock().now_ns()
    for batch in heard.batches:
        assert (batch.tag < len(rig.tags)).all()
        assert (abs(batch.time - now) < 60e9).all()
