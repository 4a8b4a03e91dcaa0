"""Deadbands at the server, and here where the server has none: the same is told."""

from functools import partial
from typing import Any

import pytest
from asyncua import ua
from asyncua.server.internal_session import InternalSession

from tests import servers
from tests.conformance.test_connectors import RIGS, build, running
from tests.conformance.test_opcua_polling import shows, told
from tests.opcua_servers import program

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


# --- in percent -----------------------------------------------------------------------------

PERCENT = {"temperature": RIG.tags["temperature"] | {"deadband_percent": 2}}
"""0.5 where the range is 25 wide."""
SPAN = (-5.0, 20.0)


@pytest.mark.parametrize("polled", [False, True], ids=["subscribed", "polled"])
async def test_percent_of_its_eu_range_are_kept_by_a_server_that_can(polled: bool) -> None:
    """node-opcua has PercentDeadband; one that is polled is never asked for it."""
    node = [servers.OpcUaRig.URI, "Temperature"]
    async with program("node-opcua") as server:
        await server.start({node[0]: {node[1]: 20.5}})
        await server.ask("range", node=node, low=SPAN[0], high=SPAN[1])
        device = {"poll": "10ms"} if polled else {"sampling": "10ms", "publishing": "20ms"}
        connector, heard = build(RIG, server.url, PERCENT, device | {"history": "off"}, span=(0.0, 1000.0))
        async with running(connector, heard):
            await heard.until(partial(shows, heard, 20.5))
            await server.ask("set", node=node, values=CHANGES, every_s=0.1)
            await heard.until(partial(shows, heard, CHANGES[-1]))
    assert told(heard, "temperature") == TOLD
    assert not connector.learned.get("remarks")


@pytest.mark.parametrize("refusal", [ua.StatusCodes.BadDeadbandFilterInvalid, 0])
@pytest.mark.parametrize("described", [True, False], ids=["EURange", "configured"])
async def test_percent_are_kept_here_where_the_server_does_not(
    monkeypatch: pytest.MonkeyPatch, refusal: int, described: bool
) -> None:
    watched(monkeypatch, refusal)
    async with servers.opcua() as server:
        if described:
            await server.describe("Temperature", None, SPAN)
        span = (0.0, 1000.0) if described else SPAN  # the node's own range comes first
        connector, heard = build(RIG, server.url, PERCENT, {"sampling": "5ms"}, span=span)
        async with running(connector, heard):
            await heard.until(partial(shows, heard, 20.5))
            for value in CHANGES:
                await server.set("Temperature", ua.Variant(value, ua.VariantType.Double))
            await heard.until(partial(shows, heard, CHANGES[-1]))
    assert [band for band in BANDS if band] == [2.0 if described else 0.5]
    if refusal:
        assert told(heard, "temperature") == TOLD


@pytest.mark.parametrize("span", [None, (-1.7e308, 1.7e308)], ids=["none", "endless"])
async def test_without_a_range_all_is_told_and_a_remark_says_why(
    caplog: pytest.LogCaptureFixture, span: tuple[float, float] | None
) -> None:
    async with servers.opcua() as server:
        await server.describe("Temperature", None, span)
        connector, heard = build(RIG, server.url, PERCENT, {"sampling": "5ms", "history": "off"})
        async with running(connector, heard):
            await heard.until(partial(shows, heard, 20.5))
            await server.set("Temperature", ua.Variant(20.75, ua.VariantType.Double))
            await heard.until(partial(shows, heard, 20.75))
            (remark,) = connector.learned["remarks"]
    assert remark.startswith(f"temperature ({RIG.tags['temperature']['node']}): deadband_percent")
    assert "give the tag a range: [low, high]" in remark
    assert caplog.messages.count(f"device d: {remark}") == 1
