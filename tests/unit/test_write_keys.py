"""Whether a tag may be written is decided by the configuration, and what makes no sense is found there."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel

from gateway.config import ConfigError, load
from gateway.contracts import Clock, Connector, Device, ProtocolModule
from gateway.model import Catalog, Tag
from gateway.plan import plan
from gateway.plugins import Protocols
from tests.drive import Drive
from tests.simulation.loop import LoopClock

SITE = "site: {enterprise: acme, site: dresden}\n"
API = "api: {tokens: {erp: correct-horse-battery, mes: battery-horse-correct}, writers: [%s]}\n"
DRIVE = "devices: {drive: {connect: '%s', asset: hall/drive, tags: {speed: {%s}}}}\n"


class Bus:
    """A protocol whose devices can be written; nothing is known of their tags."""

    SCHEMES = ("bus",)
    DeviceOptions = BaseModel
    TagOptions = BaseModel

    def address(self, options: Any) -> str:
        return "somewhere"

    def connector(self, device: Device, clock: Clock) -> Connector:
        return Drive()


PROTOCOLS: Mapping[str, ProtocolModule] = {"bus": cast(ProtocolModule, Bus())}


def findings(tmp_path: Path, text: str, protocols: Mapping[str, ProtocolModule]) -> str:
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, text, protocols)
    return str(caught.value)


def planned(tmp_path: Path, text: str, protocols: Mapping[str, ProtocolModule]) -> Tag:
    """The tag `speed` of a configuration."""
    path = tmp_path / "plant.yaml"
    path.write_text(SITE + text, encoding="utf-8")
    config, document = load(path, protocols, {}, tmp_path)
    catalog = plan(config, document, Catalog(), protocols, {}, LoopClock()).catalog
    return catalog[catalog.number("acme/dresden/hall/drive/speed")]


@pytest.mark.parametrize(
    ("keys", "writable", "limits"),
    [
        ("range: [0, 50]", False, None),
        ("limits: [0, 50]", False, None),
        ("write: false, limits: [0, 50]", False, None),
        ("write: true", True, None),
        ("write: true, limits: [0, 50]", True, (0.0, 50.0)),
        ("write: true, range: [0, 60]", True, (0.0, 60.0)),
        ("write: true, range: [0, 60], limits: [10, 50]", True, (10.0, 50.0)),
        ("write: true, limits: [5, 5]", True, (5.0, 5.0)),
    ],
)
def test_a_tag_is_written_only_if_its_keys_say_so(
    keys: str, writable: bool, limits: tuple[float, float] | None, tmp_path: Path
) -> None:
    tag = planned(tmp_path, DRIVE % ("bus://x", keys), PROTOCOLS)
    assert (tag.writable, tag.limits) == (writable, limits)


@pytest.mark.parametrize("limits", ["[50, 0]", "[0, .nan]", "[-.inf, 5]", "[0]", "[0, 1, 2]", "5", "[a, b]"])
def test_limits_are_two_numbers_in_order(limits: str, tmp_path: Path) -> None:
    assert "tags.speed.limits" in findings(tmp_path, DRIVE % ("bus://x", f"write: true, limits: {limits}"), PROTOCOLS)


def test_a_number_that_may_be_written_has_limits(tmp_path: Path) -> None:
    text = DRIVE % ("modbus://x", "register: 'holding:4', write: true")
    assert "devices.drive.tags.speed: a number that may be written has limits: add limits: [low, high]" in findings(
        tmp_path, text, Protocols()
    )


@pytest.mark.parametrize(
    "keys", ["register: 'coil:4'", "register: 'holding:4.1'", "register: 'holding:4', type: string, length: 4"]
)
@pytest.mark.parametrize("bounds", ["limits: [0, 1]", "range: [0, 1]"])
def test_what_is_no_number_has_no_limits(keys: str, bounds: str, tmp_path: Path) -> None:
    text = DRIVE % ("modbus://x", f"{keys}, write: true, {bounds}")
    assert "it is written without limits, for it is no number" in findings(tmp_path, text, Protocols())


def test_a_device_that_is_only_read_has_no_tags_to_write(tmp_path: Path) -> None:
    class Meter(Bus):
        def connector(self, device: Device, clock: Clock) -> Connector:
            return Sensor()

    text = DRIVE % ("bus://x", "write: true")
    assert "hall/drive/speed cannot be written: bus is only read -> take write out" in findings(
        tmp_path, text, {"bus": cast(ProtocolModule, Meter())}
    )


class Sensor:
    """A Connector that is no Writer."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.learned: dict[str, Any] = {}

    async def run(self, emit: Any) -> None:
        return


def test_writers_are_owners_of_tokens(tmp_path: Path) -> None:
    devices = DRIVE % ("bus://x", "write: true")
    assert planned(tmp_path, API % "erp" + devices, PROTOCOLS).writable
    assert "api: writers: epr has no token: add it to api.tokens, or name one that has (erp, mes)" in findings(
        tmp_path, API % "epr" + devices, PROTOCOLS
    )
    assert "writers: erp has no token" in findings(tmp_path, "api: {writers: [erp]}\n" + devices, PROTOCOLS)
    viewer = "api: {tokens: {erp: {token: correct-horse-battery, role: viewer}}, writers: [erp]}\n"
    assert "writers: erp is a viewer" in findings(tmp_path, viewer + devices, PROTOCOLS)
    assert planned(tmp_path, viewer.replace("viewer", "operator") + devices, PROTOCOLS).writable
