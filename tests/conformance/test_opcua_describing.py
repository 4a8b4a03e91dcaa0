"""What a server says of its variables becomes what is known of tags, and is never a reason for a lost connection."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession

from tests import servers
from tests.conformance.test_connectors import PATIENCE_S, RIGS, build, running

RIG = RIGS["opcua"]
NUMBER = {name: number for number, name in enumerate(RIG.tags)}
UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"
CEL = ua.EUInformation(NamespaceUri=UNECE, UnitId=4408652, DisplayName=ua.LocalizedText("°C"))
STROKES = ua.EUInformation(NamespaceUri="urn:acme", UnitId=-1, DisplayName=ua.LocalizedText("strokes\x00" + 300 * "s"))
NOTHING: dict[str, Any] = {"unit": "", "description": "", "low": None, "high": None}


class Said:
    """A Describe that keeps what it was told."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, Any]] = {}
        self.times: Counter[int] = Counter()
        self._news = asyncio.Event()

    def __call__(self, number: int, **said: Any) -> None:
        self.of[number] = said
        self.times[number] += 1
        self._news.set()

    async def all(self, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.times) < len(NUMBER) or min(self.times.values()) < times:
                self._news.clear()
                await self._news.wait()


@pytest.mark.parametrize("keys", [{}, {"poll": "50ms"}], ids=["subscribed", "polled"])
async def test_units_and_ranges_are_told_where_the_server_has_them(keys: dict[str, Any]) -> None:
    async with servers.opcua() as server:
        await server.describe("Temperature", CEL, (-5.0, 40.0))
        await server.describe("Count", STROKES, (0.0, 100.0))
        await server.describe("Big", CEL, (7.0, 7.0))
        said = Said()
        connector, heard = build(RIG, server.url, device=keys, describe=said)
        async with running(connector, heard):
            await said.all()
            await heard.until(lambda: heard.value == RIG.expected)
    temperature, count = said.of[NUMBER["temperature"]], said.of[NUMBER["count"]]
    assert (temperature["unit"], temperature["low"], temperature["high"]) == ("Cel", -5.0, 40.0)
    assert (count["unit"], count["low"], count["high"]) == ("", 0.0, 100.0)
    assert "[strokes ss" in count["description"]
    assert len(count["description"]) < 500
    assert count["description"].isprintable()
    assert (said.of[NUMBER["big"]]["unit"], said.of[NUMBER["big"]]["low"]) == ("Cel", None)
    assert said.of[NUMBER["running"]] == said.of[NUMBER["recipe"]] == NOTHING


async def test_a_server_without_them_is_asked_once_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[int] = []
    attributes: set[int] = set()
    translate, read = InternalSession.translate_browsepaths_to_nodeids, InternalSession.read

    async def counted(self: InternalSession, asked: Any) -> Any:
        paths.append(len(asked))
        return await translate(self, asked)

    async def watched(self: InternalSession, parameters: Any, *rest: Any) -> Any:
        attributes.update(int(one.AttributeId) for one in parameters.NodesToRead)
        return await read(self, parameters, *rest)

    monkeypatch.setattr(InternalSession, "translate_browsepaths_to_nodeids", counted)
    monkeypatch.setattr(InternalSession, "read", watched)
    async with servers.opcua() as server:
        said = Said()
        connector, heard = build(RIG, server.url, describe=said)
        async with running(connector, heard):
            await said.all()
            await heard.until(lambda: heard.value == RIG.expected)
    assert paths == [2 * len(RIG.tags)]
    assert int(ua.AttributeIds.Description) not in attributes
    assert list(said.of.values()) == [NOTHING] * len(RIG.tags)


async def test_a_server_that_refuses_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = asyncio.Event()

    async def refuse(self: InternalSession, asked: Any) -> Any:
        refused.set()
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    monkeypatch.setattr(InternalSession, "translate_browsepaths_to_nodeids", refuse)
    async with servers.opcua() as server:
        said = Said()
        connector, heard = build(RIG, server.url, describe=said)
        async with running(connector, heard):
            async with asyncio.timeout(PATIENCE_S):
                await refused.wait()
            await server.set("Temperature", ua.Variant(21.5, ua.VariantType.Double))
            await heard.until(lambda: heard.value == RIG.expected | {"temperature": 21.5})
    assert not said.of


async def test_what_changed_with_a_new_program_is_told_after_the_next_connect() -> None:
    async with servers.opcua() as server:
        await server.describe("Temperature", CEL, (-5.0, 40.0))
        said = Said()
        connector, heard = build(RIG, server.url, describe=said)
        for times, high in ((1, 40.0), (2, 60.0)):
            await server.describe("Temperature", None, (-5.0, high))
            async with running(connector, heard):
                await said.all(times)
            assert said.of[NUMBER["temperature"]]["high"] == high
