"""Device templates: data that load, say where they come from, and read what a device of that kind would hold."""

import asyncio
import itertools
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.clock import SystemClock
from gateway.config import Config, Document, load
from gateway.config.yaml import read
from gateway.model import Batch, Catalog
from gateway.plan import plan
from gateway.plugins import Protocols, shipped, signal_kinds
from tests.servers import free_port

TEMPLATES = sorted(shipped("devices").glob("*.yaml"))
KEYS = {"manufacturer", "model", "protocol", "source", "tags"}
UNITS = {
    *("", "1", "%", "deg", "Cel", "Hz", "V", "A", "mm/s", "{rev}/min", "{piece}", "{count}"),
    *("W", "kW", "V.A", "kV.A", "V.A{reactive}", "kV.A{reactive}"),
    *("W.h", "kW.h", "V.A.h{reactive}", "kV.A.h{reactive}"),
}
FORMATS = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
FACTOR = -1
"""What every scale-factor register holds: one decimal."""

each = pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)


def loaded(template: Path, folder: Path, port: int) -> tuple[Config, Document]:
    path = folder / "plant.yaml"
    device = f"{{connect: 'modbus://127.0.0.1:{port}?unit=1', asset: hall/device, template: {template.stem}}}"
    path.write_text(f"site: {{enterprise: acme, site: test}}\ndevices: {{device: {device}}}\n", encoding="utf-8")
    return load(path, Protocols(), signal_kinds(), template.parent)


def tags(template: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(template).data["tags"]
    return found


def place(register: str) -> tuple[str, int, int | None]:
    """Area, address and bit of a register as the templates write it."""
    area, _, rest = register.partition(":")
    start, _, bit = rest.partition(".")
    return area, int(start, 0), int(bit) if bit else None


def size(tag: dict[str, Any]) -> int:
    """How many addresses a tag takes."""
    return tag.get("length") or (struct.calcsize(FORMATS[tag["type"]]) // 2 if "type" in tag else 1)


def test_there_are_many() -> None:
    assert len(TEMPLATES) >= 15


@each
def test_a_template_says_what_it_is_for_and_where_its_facts_are_from(template: Path) -> None:
    document = read(template)
    assert document.findings == []
    assert set(document.data) - {"identify"} == KEYS
    assert all(isinstance(document.data[key], str) for key in KEYS - {"tags"})
    assert document.data["protocol"] in Protocols()
    comment = template.read_text(encoding="utf-8").partition("manufacturer:")[0]
    assert "0-based" in comment or "as on the wire" in comment


def test_no_two_templates_are_for_the_same_device() -> None:
    devices = [(data["manufacturer"], data["model"]) for data in (read(path).data for path in TEMPLATES)]
    assert len(devices) == len(set(devices))


@each
def test_a_template_loads_and_plans(template: Path, tmp_path: Path) -> None:
    config, document = loaded(template, tmp_path, 502)
    planned = plan(config, document, Catalog(), Protocols(), signal_kinds(), SystemClock())
    assert len(planned.catalog) == len(tags(template))


@each
def test_units_are_ucum_that_we_know_and_tags_are_described(template: Path) -> None:
    for name, tag in tags(template).items():
        assert tag.get("unit", "") in UNITS, name
        assert tag["description"], name


@each
def test_no_value_is_cut_by_another(template: Path) -> None:
    """Tags may share a register (its bits, a scale factor), but never a part of one another."""
    spans = {(*place(tag["register"])[:2], size(tag)) for tag in tags(template).values()}
    spans |= {(*place(tag["scale_register"])[:2], 1) for tag in tags(template).values() if "scale_register" in tag}
    for (area, start, count), (other, after, _) in itertools.pairwise(sorted(spans)):
        assert area != other or start + count <= after, f"{area}:{start} reaches into {area}:{after}"


@each
def test_a_template_is_recognised_by_what_a_search_finds_out(template: Path) -> None:
    identify = read(template).data.get("identify", {})
    assert set(identify) <= {"vendor", "product", "sunspec"}
    registers = [place(tag["register"])[1] for tag in tags(template).values() if tag.get("type") != "string"]
    for model, at in identify.get("sunspec", {}).items():
        assert isinstance(model, int)
        assert min(registers) >= at + 2, "id and length come first"


@pytest.mark.parametrize(
    ("template", "tag", "wire"),
    [
        ("eastron_sdm630", "frequency", ("input", 70)),
        ("schneider_pm5xxx", "current/l1", ("holding", 0x0BB7)),
        ("schneider_pm5xxx", "frequency", ("holding", 0x0C25)),
        ("schneider_iem3000", "energy/import", ("holding", 0x0C83)),
        ("janitza_umg", "power/total", ("holding", 19026)),
        ("sunspec_103", "power", ("holding", 40070 + 14)),
        ("sunspec_103", "state", ("holding", 40070 + 38)),
        ("sunspec_113", "energy/total", ("holding", 40070 + 32)),
        ("sunspec_701", "energy/injected", ("holding", 40070 + 19)),
        ("solaredge_inverter", "power", ("holding", 40083)),
        ("plc_line", "count/reject", ("input", 4)),
    ],
)
def test_addresses_agree_with_a_second_source(template: str, tag: str, wire: tuple[str, int]) -> None:
    """Off by one is the classic mistake, and a device would not tell."""
    assert place(tags(shipped("devices", f"{template}.yaml"))[tag]["register"])[:2] == wire


def test_every_template_is_documented() -> None:
    documented = Path(__file__).parents[2].joinpath("docs", "devices.md").read_text(encoding="utf-8")
    assert [path.stem for path in TEMPLATES if f"`{path.stem}`" not in documented] == []


class Image:
    """The memory of a device, and what its tags should read."""

    def __init__(self, template: Path) -> None:
        self.words = {area: [0] * 65536 for area in ("holding", "input")}
        self.bits = {area: [False] * 16 for area in ("coil", "discrete")}
        self.expected: dict[str, Any] = {}
        for i, (name, tag) in enumerate(tags(template).items()):
            self.expected[name] = self._hold(i, tag)

    def _hold(self, i: int, tag: dict[str, Any]) -> Any:
        """Put the value of the i-th tag into the memory; return what it means."""
        area, start, bit = place(tag["register"])
        if "type" not in tag:
            return self._bit(area, start, bit, value=i % 2 == 0)
        if tag["type"] == "string":
            self._write(area, start, f"text {i}".encode().ljust(2 * tag["length"], b"\0"))
            return f"text {i}"
        signed = tag["type"][0] in "if"
        raw: float = (-1 if signed and i % 2 else 1) * (1000 + 7 * i) + (0.5 if "float" in tag["type"] else 0)
        data = struct.pack(FORMATS[tag["type"]], raw if "float" in tag["type"] else int(raw))
        if tag.get("order") == "CDAB":
            data = b"".join(reversed([data[k : k + 2] for k in range(0, len(data), 2)]))
        self._write(area, start, data)
        if "scale_register" in tag:
            self._write(*place(tag["scale_register"])[:2], struct.pack(">h", FACTOR))
            raw *= 10**FACTOR
        return raw * tag.get("scale", 1)

    def _bit(self, area: str, start: int, bit: int | None, *, value: bool) -> bool:
        if bit is None:
            self.bits[area][start] = value
        else:
            self.words[area][start] |= value << bit
        return value

    def _write(self, area: str, start: int, data: bytes) -> None:
        self.words[area][start : start + len(data) // 2] = struct.unpack(f">{len(data) // 2}H", data)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        """Serve the memory as unit 1; give the port."""
        port = free_port()
        blocks = (
            [SimData(0, values=self.bits["coil"], datatype=DataType.BITS)],
            [SimData(0, values=self.bits["discrete"], datatype=DataType.BITS)],
            [SimData(0, values=self.words["holding"], datatype=DataType.REGISTERS)],
            [SimData(0, values=self.words["input"], datatype=DataType.REGISTERS)],
        )
        server = ModbusTcpServer([SimDevice(1, blocks)], address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        try:
            yield port
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]


class Heard:
    """An Emit that keeps values and qualities by number of the tag, and tells when it has them all."""

    def __init__(self, count: int) -> None:
        self.value: dict[int, Any] = {}
        self.quality: dict[int, int] = {}
        self.complete = asyncio.Event()
        self._count = count

    def __call__(self, *batches: Batch) -> None:
        for batch in batches:
            self.value |= dict(zip(batch.tag.tolist(), batch.value.tolist(), strict=True))
            self.quality |= dict(zip(batch.tag.tolist(), batch.quality.tolist(), strict=True))
        if len(self.value) == self._count:
            self.complete.set()


@each
async def test_a_device_that_holds_known_values_is_read_right(template: Path, tmp_path: Path) -> None:
    image = Image(template)
    async with image.served() as port:
        config, document = loaded(template, tmp_path, port)
        planned = plan(config, document, Catalog(), Protocols(), signal_kinds(), SystemClock())
        heard = Heard(len(image.expected))
        async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(planned.devices[0].connector.run(heard))
            await heard.complete.wait()
            reading.cancel()
    for number in planned.catalog:
        name = planned.catalog[number].name
        assert heard.quality[number] == 0, name
        expected = image.expected[name]
        assert heard.value[number] == (expected if isinstance(expected, str) else pytest.approx(expected)), name
