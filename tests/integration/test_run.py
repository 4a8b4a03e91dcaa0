"""`gateway run`: what it says, what others see of it, and how it ends."""

import re
import subprocess
from pathlib import Path

import httpx
import orjson
import pytest

from gateway.bench import pipeline
from tests import servers
from tests.integration.process import GatewayProcess, command, plant, running, write


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> GatewayProcess:  # type: ignore[misc]
    folder = tmp_path_factory.mktemp("run")
    with pipeline.devices(2, 5) as ports, running(write(folder / "plant.yaml", plant(folder, ports, bus=None))) as one:
        one.until(lambda: all(value["quality"] == "good" for value in one.get("/api/v1/values")))
        yield one


def mosquitto_sub(gateway: GatewayProcess, topic: str, n: int) -> list[tuple[str, dict[str, object]]]:
    """What the user's own MQTT client prints."""
    port = gateway.ready["mqtt"].rpartition(":")[2]
    command_ = [servers.needs("mosquitto_sub"), "-p", port, "-t", topic, "-C", str(n), "-W", "20", "-F", "%t %r %p"]
    lines = subprocess.run(command_, capture_output=True, text=True, check=True).stdout.splitlines()
    return [(line.split(" ", 2)[0], orjson.loads(line.split(" ", 2)[2])) for line in lines]


def test_it_says_what_a_script_needs(gateway: GatewayProcess) -> None:
    assert gateway.ready["ready"] is True
    assert (gateway.ready["devices"], gateway.ready["tags"]) == (2, 12)
    assert gateway.ready["api"].startswith("http://127.0.0.1:")
    assert gateway.ready["mqtt"].startswith("mqtt://127.0.0.1:")


def test_an_mqtt_client_sees_batches(gateway: GatewayProcess) -> None:
    (_, first), (_, second) = mosquitto_sub(gateway, "uns/acme/test/hall/device0/_batch", 2)
    assert first["v"] == 1
    assert first["gateway"] == "gw1"
    assert sorted(first["tags"]) == ["stamp", "v0", "v1", "v2", "v3", "v4"]  # type: ignore[call-overload]
    assert second["seq"] == first["seq"] + 1  # type: ignore[operator]
    assert "status" not in first


def test_an_mqtt_client_that_comes_late_sees_every_tag(gateway: GatewayProcess) -> None:
    seen = dict(mosquitto_sub(gateway, "uns/acme/test/hall/device1/+", 7))
    assert {"uns/acme/test/hall/device1/v0", "uns/acme/test/hall/device1/_meta"} < set(seen)
    value = seen["uns/acme/test/hall/device1/v0"]
    assert value["quality"] == "good"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(value["timestamp"]))


def test_the_status_is_retained(gateway: GatewayProcess) -> None:
    ((_, status),) = mosquitto_sub(gateway, "uns/acme/test/_gateway/gw1/status", 1)
    assert status["online"] is True


def test_rest_has_latest_values(gateway: GatewayProcess) -> None:
    value = gateway.get("/api/v1/values/hall/device0/v1")
    assert value["path"] == "acme/test/hall/device0/v1"
    assert isinstance(value["value"], float)
    assert gateway.get("/api/v1/values/acme/test/hall/device0/v1")["path"] == value["path"]


def test_rest_has_history(gateway: GatewayProcess) -> None:
    gateway.until(lambda: len(gateway.get("/api/v1/history/hall/device0/stamp")["readings"]) > 10)
    page = gateway.get("/api/v1/history/hall/device0/stamp", limit="4")
    times = [reading["timestamp"] for reading in page["readings"]]
    assert times == sorted(times)
    assert len(times) == 4
    following = gateway.get("/api/v1/history/hall/device0/stamp", limit="4", cursor=page["next"])
    assert following["readings"][0]["timestamp"] > times[-1]
    gateway.until(lambda: len(gateway.get("/api/v1/history/hall/device0/v0", bucket="1min")["buckets"]) > 0)


def test_rest_knows_what_there_is(gateway: GatewayProcess) -> None:
    (enterprise,) = gateway.get("/api/v1/assets")
    hall = enterprise["assets"][0]["assets"][0]
    assert [asset["path"] for asset in hall["assets"]] == ["acme/test/hall/device0", "acme/test/hall/device1"]
    assert gateway.get("/api/v1/tags/hall/device0/v0")["source"] == "holding:4 float32 ABCD"
    assert [device["state"] for device in gateway.get("/api/v1/devices")] == ["up", "up"]


def test_the_stream_sends_what_changes(gateway: GatewayProcess) -> None:
    url = gateway.ready["api"] + "/api/v1/stream?match=*/device0/v0"
    events = []
    with httpx.stream("GET", url, timeout=20) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(orjson.loads(line[6:]))
            if len(events) == 3:
                break
    assert all([row["path"] for row in event] == ["acme/test/hall/device0/v0"] for event in events)
    assert len({event[0]["value"] for event in events}) > 1


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_it_is_well(gateway: GatewayProcess, path: str) -> None:
    assert gateway.get(path)["status"] == "pass"


def test_it_counts(gateway: GatewayProcess) -> None:
    assert gateway.metric("gateway_device_up", device="device0") == 1
    assert gateway.metric("gateway_device_readings_total", device="device0") > 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/values/hall/nothing", 404),
        ("/api/v1/history/hall/device0/v0?from=yesterday", 422),
        ("/api/v1/history/hall/device0/v0?limit=0", 422),
        ("/api/v1/devices/nothing", 404),
        ("/nothing", 404),
    ],
)
def test_errors_are_problems(gateway: GatewayProcess, path: str, status: int) -> None:
    answer = httpx.get(gateway.ready["api"] + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_tail_prints_readings(gateway: GatewayProcess) -> None:
    printed = command("tail", "*/device1/v0", "--url", gateway.ready["mqtt"], "--count", "2")
    assert printed.returncode == 0
    assert [line.split()[1] for line in printed.stdout.splitlines()] == ["acme/test/hall/device1/v0"] * 2


def test_a_duration_ends_it_well(tmp_path: Path) -> None:
    with pipeline.devices(1, 1) as ports:
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=None))
        ended = command("run", str(config), "--duration", "2")
    assert ended.returncode == 0, ended.stderr
    assert "1 devices, 6 tags" in ended.stdout


def test_with_tokens_nobody_reads_without_one(tmp_path: Path) -> None:
    token = "correct-horse-battery"
    with pipeline.devices(1, 1) as ports:
        config = plant(tmp_path, ports, bus=None)
        config["api"]["tokens"] = {"erp": token}
        with running(write(tmp_path / "plant.yaml", config)) as one:

            def status(path: str, **headers: str) -> int:
                return httpx.get(one.ready["api"] + path, headers=headers).status_code

            assert [status(path) for path in ("/api/v1/values", "/healthz", "/metrics", "/api/v1/stream")] == [401] * 4
            assert [status(path) for path in ("/", "/app.js", "/livez", "/readyz", "/docs", "/openapi.json")] == [
                200
            ] * 6
            assert status("/api/v1/values", Authorization=f"Bearer {token}") == 200
            assert status("/api/v1/values", Authorization=f"Bearer {token}x") == 401
            assert status("/api/v1/values", Authorization=token) == 401
            document = httpx.get(one.ready["api"] + "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
    assert token not in str(document)


def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    with pipeline.devices(1, 1) as ports:
        config = plant(tmp_path, ports, bus=None)
        config["api"] = {"listen": f"127.0.0.1:{ports[0]}"}
        ended = command("run", str(write(tmp_path / "plant.yaml", config)))
    assert ended.returncode == 1
    assert f"127.0.0.1:{ports[0]} cannot be listened on" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_gateways_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    with pipeline.devices(1, 1) as ports:
        config = write(tmp_path / "plant.yaml", plant(tmp_path, ports, bus=None))
        with running(config):
            ended = command("run", str(config))
    assert ended.returncode == 1
    assert "is another gateway running on this folder?" in ended.stderr


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    config = tmp_path / "plant.yaml"
    config.write_text(
        "site: {enterprise: acme, site: Dresden}\n"
        "bus: {url: mqtt://gw:secret@broker:1883}\n"
        "devices:\n"
        "  press:\n"
        "    connect: modbuss://127.0.0.1\n"
        "    asset: hall/press\n"
        "  oven:\n"
        "    connect: modbus://127.0.0.1\n"
        "    asset: hall/oven\n"
        "    tags:\n"
        "      heat: {registr: 'holding:1'}\n"
    )
    ended = command("check", str(config))
    assert ended.returncode == 1
    assert f"{config}:1: site.site: 'Dresden' must be lower-case" in ended.stderr
    assert f"{config}:2: bus.url has a password written out -> keep it in the environment" in ended.stderr
    assert f"{config}:5: devices.press.connect has no known protocol (modbuss) -> did you mean modbus?" in ended.stderr
    assert f"{config}:11: devices.oven.tags.heat.registr is not a key here -> did you mean register?" in ended.stderr
    assert "secret" not in ended.stderr


def test_check_connects_to_every_device(tmp_path: Path) -> None:
    with pipeline.devices(1, 1) as ports:
        config = plant(tmp_path, [*ports, servers.free_port()], bus=None, tags=1)
        ended = command("check", str(write(tmp_path / "plant.yaml", config)), "--connect", "--json")
    assert ended.returncode == 1
    here, gone = orjson.loads(ended.stdout)["devices"]
    assert here["good"] == 2
    assert here["learned"]["requests_per_s"] > 0
    assert "error" in gone
    assert gone["wrong"] == {"stamp": "no reading came", "v0": "no reading came"}
