"""What an OPC UA connector must do beyond the contract: never read another node, never take silence for life."""

import asyncio
import logging
from functools import partial

import pytest
from asyncua import ua

from tests import servers
from tests.conformance.test_connectors import PATIENCE_S, RIGS, Heard, again_and_again, build, running

RIG = RIGS["opcua"]


@pytest.mark.parametrize("fillers", [[0, 2], [3, 1], [1, 0]])
async def test_a_namespace_that_moved_is_found_again_and_no_other_node_is_read(fillers: list[int]) -> None:
    """L14: indices may be other ones after a restart; at the old place there is now another `Temperature`, -1."""
    server = servers.OpcUaRig()
    for number in fillers:
        server.fillers = number
        await server.start()
        connector, heard = build(RIG, server.url)
        async with running(connector, heard):
            await heard.until(lambda heard=heard: set(heard.value) == set(RIG.tags))  # type: ignore[misc]
        await server.stop()
        assert heard.value == RIG.expected


async def test_a_namespace_that_is_not_there_makes_its_tags_bad_and_no_others() -> None:
    tags = {**RIG.tags, "elsewhere": {"node": "nsu=urn:test:elsewhere;s=Temperature"}, "clock": {"node": "i=2258"}}
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, tags)
        async with running(connector, heard):
            await heard.until(lambda: set(heard.value) == set(tags))
    assert heard.quality["elsewhere"] == 0x8034_0000
    assert heard.quality["clock"] == 0
    assert heard.value["temperature"] == 20.5


async def test_a_server_that_publishes_nothing_any_more_is_silent() -> None:
    """The connection stands and carries nothing: what a paused server looks like."""
    async with servers.opcua() as server, servers.line(server.port) as line:
        connector, heard = build(RIG, f"opc.tcp://127.0.0.1:{line.port}")

        async def end() -> Exception | None:
            try:
                await connector.run(heard)
            except TimeoutError as error:
                return error
            return None

        async with asyncio.timeout(2 * PATIENCE_S), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(end())
            await heard.until(lambda: set(heard.value) == set(RIG.tags))
            line.swallow()
            assert "no publish response" in str(await task)


def shows(heard: Heard, temperature: float) -> bool:
    return bool(heard.value["temperature"] == temperature)


async def test_what_changed_while_the_line_was_down_arrives_once(caplog: pytest.LogCaptureFixture) -> None:
    """The old session is taken up again, so the server is left with one, and its subscription goes on."""
    caplog.set_level(logging.CRITICAL, "asyncua")
    async with servers.opcua() as server, servers.line(server.port) as line:
        connector, heard = build(RIG, f"opc.tcp://127.0.0.1:{line.port}", device={"publishing": 0.05, "sampling": 0.02})
        async with again_and_again(partial(connector.run, heard)):
            await heard.until(lambda: set(heard.value) == set(RIG.tags))
            for round_ in range(3):
                line.cut()
                value = 100.0 + round_
                await server.set("Temperature", ua.Variant(value, ua.VariantType.Double))
                await line.join()
                await heard.until(partial(shows, heard, value))
            await server.set("Temperature", ua.Variant(103.0, ua.VariantType.Double))
            await heard.until(partial(shows, heard, 103.0))
            assert connector.counts["resumed"] >= 2  # the first cut may come before all items are there
            assert len(server.sessions()) == 1
    told = [
        float(value)
        for batch in heard.batches
        for tag, value in zip(batch.tag.tolist(), batch.value.tolist(), strict=True)
        if heard.names[tag] == "temperature"
    ]
    assert sorted(set(told)) == [20.5, 100.0, 101.0, 102.0, 103.0]
