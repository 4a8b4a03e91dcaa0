"""`gateway discover`: it prints devices that `gateway check` accepts, and says what it did."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import speakers
from tests.integration.process import command
from tests.servers import free_port, modbus_units

SITE = "site: {enterprise: acme, site: test}\n"


def text(words: str, registers: int) -> list[int]:
    data = words.encode().ljust(2 * registers, b"\0")
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def inverter(vendor: str, common: int) -> dict[int, list[int]]:
    """SunS, model 1 with so many registers, an empty model 103, the end."""
    words = [*text(vendor, 16), *text("Inverter 5", 16), *text("", 8), *text("2.1", 8), *text("SN42", 16), 1, 0]
    return {40000: [0x5375, 0x6E53, 1, common, *words[:common], 103, 50, *[0] * 50, 0xFFFF, 0]}


UNITS = {1: inverter("ACME", 66), 2: inverter("SolarEdge ", 65), 3: {0: [7]}, 4: {0: [7]}, 5: inverter("ACME", 64)}
IDENTITIES = {3: {0: b"Schneider Electric", 1: b"METSEPM5560", 2: b"V2.1"}, 4: {0: b"ACME", 1: b"#: {X}"}}


async def discover(*words: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(command, "discover", *words)


async def test_what_it_prints_is_accepted_as_a_configuration(tmp_path: Path) -> None:
    async with modbus_units(UNITS, IDENTITIES) as port:
        done = await discover(f"modbus://127.0.0.1:{port}", "--units", "1-6")
    assert done.returncode == 0, done.stderr
    assert f"# modbus://127.0.0.1:{port}: 5 of 6 units answered; " in done.stdout
    assert "# SunSpec models 1 at 40002, 103 at 40070" in done.stdout
    devices = yaml.safe_load(done.stdout)["devices"]
    assert {name: device.get("template") for name, device in devices.items()} == {
        "unit1": "sunspec_103",
        "unit2": "solaredge_inverter",
        "unit3": "schneider_pm5xxx",
        "unit4": None,
        "unit5": None,
    }
    path = tmp_path / "plant.yaml"
    path.write_text(SITE + done.stdout, encoding="utf-8")
    checked = await asyncio.to_thread(command, "check", str(path), "--json")
    assert checked.returncode == 0, checked.stderr
    connects = {facts["device"]: facts["connect"] for facts in json.loads(checked.stdout)["devices"]}
    assert connects == {f"unit{unit}": f"modbus://127.0.0.1:{port}?unit={unit}" for unit in range(1, 6)}


async def test_json_says_the_same() -> None:
    async with modbus_units(UNITS, IDENTITIES) as port:
        done = await discover(f"modbus://127.0.0.1:{port}", "--units", "3,9", "--json")
    said = json.loads(done.stdout)
    assert said["found"] == [
        {
            "name": "unit3",
            "connect": f"modbus://127.0.0.1:{port}?unit=3",
            "facts": {"vendor": "Schneider Electric", "product": "METSEPM5560", "revision": "V2.1"},
            "example": {"register": "holding:0"},
            "tags": {},
            "keys": {},
            "template": "schneider_pm5xxx",
        }
    ]
    assert (said["asked"], said["requests"]) == (2, 5)
    assert 0 < said["seconds"] < 30


async def test_a_bridge_with_nobody_behind_it_is_nothing_found() -> None:
    async with modbus_units({200: {0: [7]}}) as port:
        done = await discover(f"modbus://127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stdout.startswith(f"# modbus://127.0.0.1:{port}: 0 of 12 units answered; 12 requests in ")
    assert yaml.safe_load(done.stdout) is None


async def test_a_device_that_answers_for_every_unit_is_remarked() -> None:
    async with modbus_units({1: {0: [7]}, 2: {0: [7]}}) as port:
        done = await discover(f"modbus://127.0.0.1:{port}", "--units", "1-2")
    assert "# Every unit answered: this may be one device that does not look at the unit." in done.stdout


def test_a_closed_port_is_told() -> None:
    port = free_port()
    done = command("discover", f"modbus://127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == (
        f"gateway discover: 127.0.0.1:{port} does not accept a connection: check address, port and whether it is on"
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gopher://127.0.0.1", "gopher:// is no known protocol; mqtt://host and modbus://host and opc.tcp://host can"),
        (
            "192.168.0.7",
            "192.168.0.7 has no known protocol;"
            " write mqtt://192.168.0.7 or modbus://192.168.0.7 or opc.tcp://192.168.0.7",
        ),
        ("modbus://[::1", "that is no URL: Invalid IPv6 URL; write mqtt://host or modbus://host or opc.tcp://host"),
        ("modbus+rtu:///dev/ttyUSB0", "modbus+rtu:// cannot be searched, only modbus://host:port can"),
    ],
)
def test_what_cannot_be_searched_is_one_clear_sentence(url: str, said: str) -> None:
    done = command("discover", url)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (2, "", f"gateway discover: {said}")


def test_options_of_another_protocol_are_told() -> None:
    done = command("discover", "modbus://127.0.0.1:1", "--depth", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "gateway discover: --depth is nothing to modbus://, which has --units, --timeout"


@pytest.mark.parametrize("units", ["1-", "x", "300", "5-1", ""])
def test_units_that_are_none_are_told(units: str) -> None:
    done = command("discover", "modbus://127.0.0.1:1", "--units", units)
    assert done.returncode == 2
    assert "write --units such as 1-10,255" in done.stderr


def whole_plant(speaker: speakers.Speaker) -> None:
    """A gateway that says what its tags are and one that does not, an edge node, and sensors of several kinds."""
    speaker.batch()
    tags = {"temperature": {"unit": "Cel", "range": [0, 100], "description": "of the bowl", "source": "holding:1"}}
    speaker.publish(f"{speakers.ASSET}/_meta", json.dumps({"v": 1, "tags": tags}), retain=True)
    speaker.publish(f"{speakers.ASSET}/temperature", '{"value":1}', retain=True)
    speaker.publish("site/acme/dresden/line2/press/_batch", json.dumps({"tags": ["force", "a/b"], "values": [1, 2]}))
    speaker.reborn = True
    speaker.edge_node()
    speaker.publish("hall/t1", "20.5", retain=True)
    speaker.publish("Halle/Öfen 3", json.dumps({"t": {"c": 1.5}, "on": True, "ts": 1_767_592_800_000}), retain=True)
    speaker.publish("camera", b"\xff\xd8\xff", retain=True)


async def test_what_is_heard_on_a_broker_is_ready_for_a_configuration(tmp_path: Path) -> None:
    async with speakers.speaker(say=whole_plant) as speaker:
        done = await discover(speaker.url, "--timeout", "1")
    assert done.returncode == 0, done.stderr
    assert "4 devices on 10 topics that were heard in " in done.stdout
    path = tmp_path / "plant.yaml"
    path.write_text(SITE + done.stdout, encoding="utf-8")
    checked = await asyncio.to_thread(command, "check", str(path))
    assert checked.returncode == 0, checked.stderr
    devices = yaml.safe_load(done.stdout)["devices"]
    assert devices["line1-filler"]["batch"] == speakers.ASSET
    assert devices["line1-filler"]["tags"] == {
        "temperature": {"unit": "Cel", "range": [0, 100], "description": "of the bowl"}
    }
    assert devices["line2-press"]["root"] == "site"
    assert devices["line2-press"]["tags"].keys() == {"force", "a/b"}
    assert devices["n-press"]["sparkplug"] == "g/n/press"
    assert devices["n-press"]["tags"]["recipe"] == {"name": "recipe"}
    assert devices["sensors"]["tags"] == {
        "hall/t1": {"topic": "hall/t1"},
        "halle/ofen_3/c": {"topic": "Halle/Öfen 3", "value": "$.t.c", "time": "$.ts", "time_unit": "ms"},
        "halle/ofen_3/on": {"topic": "Halle/Öfen 3", "value": "$.on", "time": "$.ts", "time_unit": "ms"},
    }


async def test_what_it_prints_of_a_broker_can_be_read(tmp_path: Path) -> None:
    """And of what cannot, it is said why."""
    async with speakers.speaker(say=speakers.Speaker.sensors) as speaker:
        done = await discover(speaker.url, "--timeout", "0.5")
        more = "      nothing: {topic: hall/nothing}\n      air: {topic: hall/air, type: number}\n"
        path = tmp_path / "plant.yaml"
        path.write_text(SITE + done.stdout + more, encoding="utf-8")
        checked = await asyncio.to_thread(command, "check", str(path), "--connect", "--timeout", "6")
    assert checked.returncode == 1
    assert (
        "-> device sensors: nothing: nothing came on hall/nothing within 4 s: see what gateway discover"
        in checked.stdout
    )
    assert "-> device sensors: air: a message on hall/air is not used: " in checked.stdout
    assert "1 tags: BadWaitingForInitialData" in checked.stdout


async def test_a_broker_that_is_not_there_is_said() -> None:
    done = await discover(f"mqtt://user:secret@127.0.0.1:{free_port()}", "--timeout", "0.5")
    assert done.returncode == 2
    assert "check address, user and password, and start the broker" in done.stderr
    assert "secret" not in done.stdout + done.stderr
