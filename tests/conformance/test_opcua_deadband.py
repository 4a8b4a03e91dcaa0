"""Deadbands at the server, and here where the server has none: the same is told."""

from functools import partial
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.internal_session import InternalSession

from tests import servers
from tests.conformance.test_connectors import RIGS, build, running
from tests.conformance.test_opcua_polling import shows, told

RIG = RIGS["opcua"]
TAGS = {name: RIG.tags[name] for name in ("temperature", "recipe")}
CHANGES = [20.75, 21.25, 20.875, 21.75, 23.0]
TOLD = [20.5, 21.25, 23.0]
"""Those that differ from the one told before by more than 0.5; 23.0 ends it."""

BANDS: list[float] = []
"""The deadbands that were asked for, 0 where none was, of the server of the test that runs."""


def watched(monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    """Have the server keep what it was asked for, and refuse filters if `refusal` is a bad status.

    asyncua takes a deadband for a text, too, and fails at its first change; servers refuse that.
    """
    create = InternalSession.create_monitored_items

    async def watch(self: InternalSession, parameters: Any) -> Any:
        items = parameters.ItemsToCreate
        bands = [getattr(item.RequestedParameters.Filter, "DeadbandValue", 0.0) for item in items]
        BANDS.extend(bands)
        text = [item.ItemToMonitor.NodeId.Identifier == "Recipe" for item in items]
        bad = [bool(band and (refusal or is_text)) for band, is_text in zip(bands, text, strict=True)]
        parameters.ItemsToCreate = [item for item, no in zip(items, bad, strict=True) if not no]
        made = iter(await create(self, parameters))
        refused = ua.StatusCode(ua.UInt32(refusal or ua.StatusCodes.BadFilterNotAllowed))
        return [ua.MonitoredItemCreateResult(StatusCode=refused) if no else next(made) for no in bad]

    BANDS.clear()
    monkeypatch.setattr(InternalSession, "create_monitored_items", watch)


@pytest.mark.parametrize(
    "refusal",
    [
        0,
        ua.StatusCodes.BadMonitoredItemFilterUnsupported,
        ua.StatusCodes.BadFilterNotAllowed,
        ua.StatusCodes.BadDeadbandFilterInvalid,
    ],
)
async def test_changes_within_the_deadband_are_not_told(monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
    watched(monkeypatch, refusal)
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, TAGS, {"server_deadband": True, "sampling": "5ms"}, deadband=0.5)
        async with running(connector, heard):
            await heard.until(lambda: heard.value == {"temperature": 20.5, "recipe": "Grüße"})
            for value in CHANGES:
                await server.set("Temperature", ua.Variant(value, ua.VariantType.Double))
            await server.set("Recipe", ua.Variant("Tee", ua.VariantType.String))
            await heard.until(partial(shows, heard, CHANGES[-1]))
            await heard.until(lambda: heard.value["recipe"] == "Tee")
    assert set(BANDS) == {0.5, 0.0}
    if refusal:
        assert told(heard, "temperature") == TOLD
    else:
        assert set(told(heard, "temperature")) < {20.5, *CHANGES}  # asyncua compares with the value before, told or not


async def test_polled_tags_have_the_same_deadband() -> None:
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, TAGS, {"server_deadband": True, "poll": "10ms"}, deadband=0.5)
        async with running(connector, heard):
            await heard.until(partial(shows, heard, 20.5))
            await server.set("Temperature", ua.Variant(20.875, ua.VariantType.Double))
            polls = connector.counts["polls"]
            await heard.until(lambda: connector.counts["polls"] > polls + 2)
            await server.set("Temperature", ua.Variant(21.25, ua.VariantType.Double))
            await heard.until(partial(shows, heard, 21.25))
    assert told(heard, "temperature") == [20.5, 21.25]


async def test_without_the_key_the_server_sends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    watched(monkeypatch, 0)
    async with servers.opcua() as server:
        connector, heard = build(RIG, server.url, TAGS, {"sampling": "5ms"}, deadband=0.5)
        async with running(connector, heard):
            await heard.until(partial(shows, heard, 20.5))
            await server.set("Temperature", ua.Variant(20.75, ua.VariantType.Double))
            await heard.until(partial(shows, heard, 20.75))
    assert set(BANDS) == {0.0}
