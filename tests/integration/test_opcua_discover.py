"""`gateway discover opc.tcp://...`: what it finds on a server that is strict, and that `gateway check` accepts it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import ViewService
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary

from connectors._found import Search
from connectors._opcua import discover as module
from connectors._opcua.discover import discover
from simulators.servers import nodes
from tests.integration.process import command
from tests.integration.test_simulators import plant_file, start
from tests.servers import black_hole, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITE = "site: {enterprise: acme, site: test}\n"
URI = "urn:test:press"
UCUM = {
    **{"°C": "Cel", "r/min": "{rev}/min", "ml": "mL", "m³/h": "m3/h", "m³/min": "m3/min", "m³": "m3", "N·m": "N.m"},
    **{"m/s²": "m/s2", "°": "deg", "1/h": "/h"},
}
"""Of the units of the simulated instruments that are written otherwise."""
HOSTILE = 'Pressure\n  of: {all} # "${HOME}" opc.tcp://me:secret@host\u2028\x07'


class Strict(ViewService):
    """A view of the nodes as small servers give it: few nodes at once, few references, few continuation points.

    `points` has what is left of each answer that was cut; `released` those that were given back before their end.
    """

    NODES, REFERENCES, POINTS = 3, 2, 1

    def __init__(self, space: Any) -> None:
        super().__init__(space)
        self.points: dict[bytes, list[ua.ReferenceDescription]] = {}
        self.released = 0
        self._names = iter(range(10**9))

    def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        if len(params.NodesToBrowse) > self.NODES:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return [self._cut(result.References, result.StatusCode) for result in super().browse(params)]

    def browse_next(self, params: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        left = [self.points.pop(point) for point in params.ContinuationPoints]
        if params.ReleaseContinuationPoints:
            self.released += len(left)
            return [ua.BrowseResult() for _ in left]
        return [self._cut(references, ua.StatusCode()) for references in left]

    def _cut(self, references: list[ua.ReferenceDescription], status: ua.StatusCode) -> ua.BrowseResult:
        if len(references) <= self.REFERENCES:
            return ua.BrowseResult(StatusCode=status, References=references)
        if len(self.points) >= self.POINTS:
            return ua.BrowseResult(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNoContinuationPoints)))
        point = b"%d" % next(self._names)
        self.points[point] = references[self.REFERENCES :]
        return ua.BrowseResult(ContinuationPoint=ua.ByteString(point), References=references[: self.REFERENCES])


@contextmanager
def browse_next(view: Strict) -> Iterator[None]:
    """asyncua's server does not know the service BrowseNext; it does within this."""
    process: Any = UaProcessor._process_message
    wanted = ua.NodeId(ua.Int32(ua.ObjectIds.BrowseNextRequest_Encoding_DefaultBinary))

    async def known(self: Any, typeid: ua.NodeId, header: Any, sequence: Any, body: Any) -> Any:
        if typeid != wanted:
            return await process(self, typeid, header, sequence, body)
        response = ua.BrowseNextResponse()
        response.Parameters.Results = view.browse_next(struct_from_binary(ua.BrowseNextParameters, body))
        self.send_response(header.RequestHandle, sequence, response)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UaProcessor, "_process_message", known)
        yield


class Press:
    """A server of a press: analog items, names that collide, a loop, properties, and texts that mean harm."""

    def __init__(self) -> None:
        self.url = f"opc.tcp://127.0.0.1:{free_port()}"
        self.server = Server()

    async def start(self) -> Strict:
        server = self.server
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("Presse Nr. 7")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(URI)
        press = await server.nodes.objects.add_object(index, "Press")
        for name, unit, span in [
            (
                "OilTemperature",
                ua.EUInformation(UnitId=ua.Int32(4408652), DisplayName=ua.LocalizedText("°C")),
                (0, 120),
            ),
            ("Speed", ua.EUInformation(UnitId=ua.Int32(-1), DisplayName=ua.LocalizedText("m³/h")), (5, 5)),
            ("Sugar", ua.EUInformation(UnitId=ua.Int32(-1), DisplayName=ua.LocalizedText("°Bx")), (0, float("inf"))),
        ]:
            item = await press.add_variable(ua.NodeId(ua.String(name), ua.Int16(index)), f"{index}:{name}", 1.0)
            await item.add_property(0, "EngineeringUnits", ua.Variant(unit))
            await item.add_property(0, "EURange", ua.Variant(ua.Range(*map(float, span))))
        for name in ("Größe 1", "Grosse_1", "Grösse-1", "T2", "T10", "7", "№", "a/b"):
            await press.add_variable(ua.NodeId(ua.String(name), ua.Int16(index)), f"{index}:{name}", 1.0)
        harm = await press.add_variable(index, "Harm", 1.0)
        text = ua.Variant(ua.LocalizedText(HOSTILE))
        await harm.write_attribute(ua.AttributeIds.Description, ua.DataValue(text))
        await press.add_variable(ua.NodeId(ua.String("${SECRET}"), ua.Int16(index)), f"{index}:Secret", 1.0)
        view = await server.nodes.objects.add_object(index, "View")
        await view.add_reference(press, ua.ObjectIds.Organizes)
        await (await press.add_object(index, "Inner")).add_reference(view, ua.ObjectIds.Organizes)  # a loop
        server.iserver.view_service = Strict(server.iserver.aspace)
        await server.start()
        return server.iserver.view_service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def press() -> AsyncIterator[tuple[Press, Strict]]:
    rig = Press()
    view = await rig.start()
    with browse_next(view):
        yield rig, view
    await rig.server.stop()


async def cli(*words: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(command, *words)


def tags(search: Search) -> dict[str, Any]:
    (found,) = search.found
    return dict(found.tags)


async def test_variables_become_tags_with_unit_range_and_description(press: tuple[Press, Strict]) -> None:
    found = tags(await discover(press[0].url))
    assert found["press/oil_temperature"] == {
        "node": f"nsu={URI};s=OilTemperature",
        "unit": "Cel",
        "range": [0.0, 120.0],
        "description": "OilTemperature",
    }
    assert found["press/speed"] == {"node": f"nsu={URI};s=Speed", "unit": "m3/h", "description": "Speed"}
    assert found["press/sugar"] == {"node": f"nsu={URI};s=Sugar", "description": "Sugar [°Bx]"}


async def test_names_are_made_of_browse_paths_and_are_each_used_once(press: tuple[Press, Strict]) -> None:
    found = tags(await discover(press[0].url))
    assert list(found) == [
        *["press/7", "press/a_b", "press/grosse_1", "press/grosse_1_2", "press/grosse-1", "press/harm"],
        *["press/oil_temperature", "press/speed", "press/sugar", "press/t2", "press/t10", "press/no"],
    ]
    assert found["press/grosse_1_2"]["node"] == f"nsu={URI};s=Größe 1"


async def test_a_strict_server_is_browsed_to_its_end_and_left_with_no_continuation_points(
    press: tuple[Press, Strict],
) -> None:
    rig, view = press
    for stated in (Strict.NODES, 0):
        limit = rig.server.get_node(ua.NodeId(ua.Int32(11710)))
        await limit.write_value(ua.Variant(stated, ua.VariantType.UInt32))
        search = await discover(rig.url)
        assert search.found[0].facts["variables"] == "12 of 13"
        assert search.found[0].facts["remark"] == [
            "1 variables are left out: a configuration cannot have their node ids"
        ]
        assert (view.points, view.released) == ({}, 0)


async def test_a_server_without_end_is_left_early_and_says_so(
    press: tuple[Press, Strict], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, view = press
    monkeypatch.setattr(module, "REFERENCES_MAX", 12)
    search = await discover(rig.url)
    assert 0 < len(search.found[0].tags) < 12
    assert (
        "not browsed to the end: there are more than 12 references; say less --depth" in search.found[0].facts["remark"]
    )
    assert (view.points, view.released) == ({}, 1)
    view.released = 0


async def test_a_pattern_and_a_depth_choose(press: tuple[Press, Strict]) -> None:
    url = press[0].url
    assert list(tags(await discover(url, match="*/OIL*"))) == ["press/oil_temperature"]
    assert list(tags(await discover(url, match="Press/T*"))) == ["press/t2", "press/t10"]
    assert tags(await discover(url, match="nothing")) == {}
    assert tags(await discover(url, depth=1)) == {}


async def test_what_it_prints_is_accepted_as_a_configuration(press: tuple[Press, Strict], tmp_path: Path) -> None:
    url = press[0].url
    done = await cli("discover", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"# {url}: 1 of 1 servers answered; ")
    assert "    # endpoint none: anonymous, user and password" in done.stdout
    assert "    # events nsu=http://opcfoundation.org/UA/;i=2253\n" in done.stdout
    path = tmp_path / "plant.yaml"
    path.write_text(SITE + done.stdout, encoding="utf-8")
    checked = await cli("check", str(path), "--json")
    assert (checked.returncode, checked.stderr) == (0, "")
    (device,) = json.loads(checked.stdout)["devices"]
    assert (device["device"], device["connect"], len(device["tags"])) == ("presse_nr_7", url, 12)
    harm = yaml.safe_load(done.stdout)["devices"]["presse_nr_7"]["tags"]["press/harm"]["description"]
    assert harm == 'Pressure of: {all} # "$ {HOME}" opc.tcp://host'


async def test_what_it_prints_can_be_read(press: tuple[Press, Strict], tmp_path: Path) -> None:
    done = await cli("discover", press[0].url, "--match", "*oil*")
    path = tmp_path / "plant.yaml"
    path.write_text(SITE + done.stdout, encoding="utf-8")
    checked = await cli("check", str(path), "--connect", "--json")
    (device,) = json.loads(checked.stdout)["devices"]
    assert (device["good"], device["wrong"], device["error"]) == (1, {}, "")


async def test_json_says_the_same(press: tuple[Press, Strict]) -> None:
    said = json.loads((await cli("discover", press[0].url, "--match", "*oil*", "--json")).stdout)
    (found,) = said["found"]
    assert list(found["tags"]) == ["press/oil_temperature"]
    assert found["facts"]["endpoint"] == ["none: anonymous, user and password"]
    assert said["asked"] == 1
    assert said["requests"] > 5


async def test_nothing_that_fits_leaves_a_tag_to_begin_with(press: tuple[Press, Strict]) -> None:
    done = await cli("discover", press[0].url, "--match", "nothing")
    (device,) = yaml.safe_load(done.stdout)["devices"].values()
    assert device["tags"] == {"value": {"node": "i=2258"}}


async def test_the_simulated_plant_is_found_as_it_is(tmp_path: Path) -> None:
    """Every instrument with its unit, where UCUM has one, its range and its words."""
    with start(str(plant_file(tmp_path)), "--json", "--free-ports") as process:
        try:
            assert process.stdout is not None
            ready = json.loads(await asyncio.to_thread(process.stdout.readline))
            found = tags(await discover(next(iter(ready["servers"].values()))))
        finally:
            process.terminate()
    by_node = {keys.pop("node"): keys for keys in found.values()}
    plant = [*nodes.tags(), *nodes.pump_tags()]
    assert by_node.keys() == {f"nsu=urn:acme:{tag.device};s={tag.path}" for tag in plant}
    for tag in plant:
        keys = by_node[f"nsu=urn:acme:{tag.device};s={tag.path}"]
        assert keys["description"] == tag.text
        if tag.instrument is not None:
            assert keys["range"] == [tag.instrument.low, tag.instrument.high]
            assert keys["unit"] == UCUM.get(tag.instrument.unit, tag.instrument.unit)
    assert "filler/status/cur_mach_speed" in found


async def test_an_index_is_accepted_with_a_warning_that_has_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "plant.yaml"
    text = 'devices:\n  d:\n    connect: opc.tcp://h:1\n    asset: a\n    tags:\n      t: {node: "ns=2;s=x"}\n'
    path.write_text(SITE + text, encoding="utf-8")
    done = await cli("check", str(path))
    assert (done.returncode, done.stderr.strip()) == (
        0,
        f"{path}:7: devices.d.tags.t: namespace 2 may be another one after a restart of the server:"
        " write nsu= and the URI of the namespace",
    )


async def test_options_of_another_protocol_are_told(press: tuple[Press, Strict]) -> None:
    done = await cli("discover", press[0].url, "--units", "1-3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (
        "gateway discover: --units is nothing to opc.tcp://, which has --match, --depth, --timeout"
    )


async def test_a_password_is_not_shown_and_not_needed(press: tuple[Press, Strict]) -> None:
    host = press[0].url.removeprefix("opc.tcp://")
    done = await cli("discover", f"opc.tcp://me:secret@{host}")
    assert "secret" not in done.stdout + done.stderr
    assert f"connect: opc.tcp://me:${{PASSWORD}}@{host}" in done.stdout
    assert "variables 12 of 13" in done.stdout


async def test_a_server_that_lets_nobody_in_without_security_tells_its_endpoints() -> None:
    server, url = Server(), f"opc.tcp://127.0.0.1:{free_port()}"
    await server.init()
    server.set_endpoint(url)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    server.set_identity_tokens([ua.UserNameIdentityToken])
    await server.start()
    try:
        (found,) = (await discover(url)).found
    finally:
        await server.stop()
    assert found.facts["endpoint"] == ["none: user and password"]
    assert "not browsed: the server does not take anonymous users on this endpoint" in found.facts["remark"][0]
    assert found.tags == {}


async def test_nobody_at_the_address_is_told() -> None:
    port = free_port()
    with pytest.raises(OSError, match=f"127.0.0.1:{port} does not accept a connection: check address"):
        await discover(f"opc.tcp://127.0.0.1:{port}")


async def test_an_address_that_never_answers_is_told() -> None:
    port = free_port()
    async with black_hole(port):
        with pytest.raises(
            TimeoutError, match=f"127.0.0.1:{port} does not answer within 0.2 s: check address and port"
        ):
            await discover(f"opc.tcp://127.0.0.1:{port}", timeout_s=0.2)


async def test_something_else_at_the_address_is_told() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    port = free_port()
    async with await asyncio.start_server(web, "127.0.0.1", port):
        with pytest.raises(OSError, match=f"127.0.0.1:{port} does not"):
            await discover(f"opc.tcp://127.0.0.1:{port}", timeout_s=1.0)


async def test_a_url_without_a_host_is_told() -> None:
    with pytest.raises(ValueError, match=r"the URL has no host: write opc.tcp://host:4840"):
        await discover("opc.tcp://")
