"""The demonstration's configuration describes the simulated plant: every node and register is there, as written."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from simulators.faults import KINDS
from simulators.plantfile import PlantFile
from simulators.servers import maps, nodes
from simulators.yamlfile import load

CONFIG = Path(__file__).parents[2] / "config"
OPC_UA = ("filler", "capper", "labeller", "packer", "pump-vibration")
MODBUS = {"compressor": "compressor", "chiller": "chiller", "pump": "pump"}


def read(name: str) -> Any:
    return yaml.safe_load((CONFIG / name).read_text(encoding="utf-8"))


DEVICES = read("demo.yaml")["devices"]
METER = read("devices/eastron_sdm630.yaml")


def plant() -> PlantFile:
    return load(CONFIG / "plants" / "bottling.yaml")


def test_the_devices_are_where_the_plant_listens() -> None:
    servers = plant().servers
    asked = {name: device["connect"].partition("?")[0] for name, device in DEVICES.items()}
    assert {asked[name] for name in OPC_UA} == {servers.opcua}
    assert {name: asked[name] for name in MODBUS} == {name: getattr(servers, name) for name in MODBUS}
    assert asked["energy-meter"] == servers.energy


@pytest.mark.parametrize("device", OPC_UA)
def test_every_node_exists_with_its_unit(device: str) -> None:
    known = {f"nsu=urn:acme:{tag.device};s={tag.path}": tag for tag in (*nodes.tags(), *nodes.pump_tags())}
    for name, tag in DEVICES[device]["tags"].items():
        assert tag["node"] in known, name
        assert ("unit" in tag) or known[tag["node"]].instrument is None, name
        assert tag["description"], name


def test_every_node_is_configured() -> None:
    configured = {tag["node"] for device in OPC_UA for tag in DEVICES[device]["tags"].values()}
    assert configured == {f"nsu=urn:acme:{tag.device};s={tag.path}" for tag in (*nodes.tags(), *nodes.pump_tags())}


@pytest.mark.parametrize("device", MODBUS)
def test_every_register_is_as_the_device_has_it(device: str) -> None:
    map_ = maps.MAPS[device]
    registers = {f"{item.table}:{item.address}": item for item in map_.registers}
    bits = {f"{item.table}:{item.address}" for item in map_.bits}
    bits |= {f"{item.table}:{item.address}.{i}" for item in map_.fields for i, name in enumerate(item.names) if name}
    texts = {f"{item.table}:{item.address}": item for item in map_.texts}
    for name, tag in DEVICES[device]["tags"].items():
        place = tag["register"]
        if tag["type"] == "bit":
            assert place in bits, name
        elif tag["type"] == "string":
            assert texts[place].length == tag["length"], name
        else:
            register = registers.pop(place)
            described = (tag["type"], tag.get("order", "ABCD"), tag.get("scale", 1.0))
            assert described == (register.type, register.order, register.scale), name
    assert not registers, "left out"


def test_the_meters_template_is_the_meters_map() -> None:
    described = {tag["register"]: tag["type"] for tag in METER["tags"].values()}
    has = {f"{item.table}:{item.address}": item.type for item in maps.ENERGY.registers}
    assert described.items() <= has.items()
    assert (METER["manufacturer"], METER["protocol"]) == ("Eastron", "modbus")


def test_the_demonstration_is_of_a_size_worth_looking_at() -> None:
    tags = sum(len(device.get("tags", {})) for device in DEVICES.values()) + len(METER["tags"])
    assert 130 <= tags <= 180


def test_the_documentation_names_every_register_node_and_fault() -> None:
    text = (CONFIG.parent / "docs" / "simulators.md").read_text(encoding="utf-8")
    for device in MODBUS:
        for item in maps.MAPS[device].registers:
            order = "" if item.order == "ABCD" else f" {item.order}"
            assert f"| {item.table}:{item.address} | {item.name} | {item.type}{order} |" in text
    for tag in (*nodes.tags(), *nodes.pump_tags()):
        assert f"`{tag.path}`" in text
    for kind, (_, options, _) in KINDS.items():
        assert f"| `{kind}` |" in text
        assert all(option in text for option in options)
