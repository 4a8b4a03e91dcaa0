"""What an outage hid is read from the history of the server: all of it, once, and flagged."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.internal_session import InternalSession
from asyncua.ua.uaerrors import BadHistoryOperationUnsupported

from gateway.contracts import Connector
from tests import servers
from tests.conformance.test_connectors import RIGS, Heard, again_and_again, build

RIG = RIGS["opcua"]
DEVICE = {"publishing": 0.05, "sampling": 0.02}
TAGS = {name: RIG.tags[name] for name in ("temperature", "count")}
MISSED = [101.0 + i for i in range(10)]
"""Values of the outage; the last one is what the server has when the connection is back."""


class Outage:
    """A server with a history of `Temperature`, and a connector that has lost it, and with it its subscription."""

    def __init__(self, server: servers.OpcUaRig, line: servers.Line, connector: Connector, heard: Heard) -> None:
        self.server = server
        self.connector = connector
        self.heard = heard
        self.runs = 0
        self._line = line

    async def pass_with(self, values: list[float]) -> None:
        """Let the values come and go while the line is down."""
        self._line.cut()
        await self.server.forget_subscriptions()
        for value in values:
            await self.server.set("Temperature", ua.Variant(value, ua.VariantType.Double))
        await self._line.join()

    async def counted(self, name: str, least: int) -> None:
        """Wait until something has been counted, of which nobody is told."""
        while True:
            if self.connector.counts[name] >= least:
                return
            await asyncio.sleep(0.01)

    def told(self, historical: bool) -> list[float]:
        """The temperatures, in order of arrival, that came as they happened or from history."""
        return [
            float(value)
            for batch in self.heard.batches
            if batch.historical is historical
            for tag, value, code in zip(batch.tag.tolist(), batch.value.tolist(), batch.quality.tolist(), strict=True)
            if self.heard.names[tag] == "temperature" and code == 0
        ]


@asynccontextmanager
async def outage(
    *, wanted: bool = True, historized: bool = True, page: int = 10_000, **history: Any
) -> AsyncIterator[Outage]:
    """A connector that is kept running, and has had all values once."""
    async with servers.opcua() as server, servers.line(server.port) as line:
        if historized:
            await server.historize("Temperature", page)
        device = DEVICE | {"history": {"delay": 0.2} | history if wanted else "off"}
        connector, heard = build(RIG, f"opc.tcp://127.0.0.1:{line.port}", TAGS, device)

        world = Outage(server, line, connector, heard)

        async def run() -> None:
            world.runs += 1
            await connector.run(heard)

        async with again_and_again(run):
            await heard.until(lambda: heard.value.keys() == TAGS.keys())
            yield world


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "asyncua")
    caplog.handler.setLevel(logging.WARNING)


@pytest.mark.parametrize("page", [10_000, 3])
async def test_what_was_missed_is_told_once_and_flagged(page: int) -> None:
    async with outage(page=page) as world:
        for round_ in range(2):
            values = [value + 100 * round_ for value in MISSED]
            await world.pass_with(values)
            await world.heard.until(partial(_told_all, world, values[:-1]))
        await world.server.set("Temperature", ua.Variant(-1.0, ua.VariantType.Double))
        await world.heard.until(lambda: world.told(historical=False)[-1] == -1.0)
        assert sorted(world.told(historical=True)) == [*MISSED[:-1], *[value + 100 for value in MISSED[:-1]]]
        assert set(world.told(historical=False)) == {20.5, MISSED[-1], MISSED[-1] + 100, -1.0}
        assert world.connector.counts["backfilled"] == 18


def _told_all(world: Outage, values: list[float]) -> bool:
    return set(values) <= set(world.told(historical=True))


async def test_newest_first_in_pages_is_told_once_too() -> None:
    async with outage(order="newest", page=3) as world:
        await world.pass_with(MISSED)
        await world.heard.until(lambda: len(world.told(historical=True)) >= 9)
        assert world.told(historical=True) == MISSED[-2::-1]


@pytest.mark.parametrize("order", ["oldest", "newest"])
async def test_a_server_that_stops_at_a_full_page_and_says_nothing_of_more_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr("connectors._opcua.history._VALUES_AT_ONCE", 3)
    async with outage(order=order) as world:
        await world.pass_with(MISSED)
        await world.heard.until(lambda: len(world.told(historical=True)) >= 9)
        assert sorted(world.told(historical=True)) == MISSED[:-1]


@pytest.mark.parametrize(("order", "kept"), [("oldest", MISSED[:4]), ("newest", MISSED[-2:-6:-1])])
async def test_more_than_is_wanted_is_left_there_and_counted(order: str, kept: list[float]) -> None:
    """The bounds of what is missing are values too, and the server tells one of them."""
    async with outage(order=order, values=5) as world:
        await world.pass_with(MISSED)
        await world.counted("history_cut", 1)
        assert world.told(historical=True) == kept


async def test_what_is_too_old_is_left_there_and_counted() -> None:
    async with outage(window=1e-6) as world:
        await world.pass_with(MISSED)
        await world.counted("history_cut", 1)
        assert world.told(historical=True) == []


REFUSED = (
    "temperature (nsu=urn:test:machine;s=Temperature): what was missed cannot be read from its history: it keeps none"
    " of these nodes: let the server keep a history of them that this user may read, or write history: off"
)


async def test_a_server_without_history_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with outage(historized=False) as world:
        for _ in range(2):
            refused = world.connector.counts["history_refused"]
            await world.pass_with(MISSED)
            await world.counted("history_refused", refused + 1)
            await world.server.set("Temperature", ua.Variant(20.5, ua.VariantType.Double))
            await world.heard.until(lambda: world.told(historical=False)[-1] == 20.5)
    assert [r.getMessage() for r in caplog.records if r.name.startswith("connectors")] == [f"device d: {REFUSED}"]
    assert world.connector.learned["remarks"] == [REFUSED]


async def test_a_history_that_fails_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: InternalSession, parameters: Any) -> Any:
        raise BadHistoryOperationUnsupported

    monkeypatch.setattr(InternalSession, "history_read", fail)
    async with outage() as world:
        await world.pass_with(MISSED)
        await world.counted("history_refused", 1)
        runs = world.runs
        await world.server.set("Temperature", ua.Variant(-1.0, ua.VariantType.Double))
        await world.heard.until(lambda: world.told(historical=False)[-1] == -1.0)
        assert world.runs == runs


async def test_nodes_for_which_there_is_no_continuation_point_are_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read, sizes = InternalSession.history_read, list[int]()

    async def scarce(self: InternalSession, parameters: Any) -> Any:
        sizes.append(len(parameters.NodesToRead))
        results = await read(self, parameters)
        none = ua.HistoryReadResult(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNoContinuationPoints)))
        return [results[0], *[none for _ in results[1:]]]

    monkeypatch.setattr(InternalSession, "history_read", scarce)
    async with outage() as world:
        await world.server.historize("Count")
        for number in range(3):
            await world.server.set("Count", ua.Variant(number, ua.VariantType.UInt32))
        await world.pass_with(MISSED)
        await world.heard.until(partial(_told_all, world, MISSED[:-1]))
        await world.counted("backfilled", 9)
    assert 2 in sizes
    assert 1 in sizes
    assert sorted(world.told(historical=True)) == MISSED[:-1]


async def test_nothing_is_read_from_history_if_nobody_wants_that() -> None:
    async with outage(wanted=False) as world:
        await world.pass_with(MISSED)
        await world.heard.until(lambda: world.told(historical=False)[-1] == MISSED[-1])
        await world.server.set("Temperature", ua.Variant(-1.0, ua.VariantType.Double))
        await world.heard.until(lambda: world.told(historical=False)[-1] == -1.0)
    assert world.told(historical=True) == []
