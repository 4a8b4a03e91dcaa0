"""The services of docker/compose.yaml on this machine: the shipped files, real servers, no container.

Hosts, ports and paths of the containers are put in their place by `here`; everything else is what a container gets.
"""

import os
import queue
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.integration.process import GatewayProcess, running
from tests.servers import BrokerProcess, free_port, needs, postgresql

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
SECRETS = ("api_token", "mqtt_password", "mqtt_reader_password", "postgres_password")


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and where."""

    secrets: Path
    plant: Path
    gateway: GatewayProcess
    mqtt_port: int

    @property
    def api(self) -> str:
        return str(self.gateway.ready["api"])

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text(encoding="utf-8").strip()

    def get(self, path: str) -> httpx.Response:
        """Ask the API, with the token."""
        headers = {"Authorization": f"Bearer {self.secret('api_token')}"}
        return httpx.get(self.api + path, headers=headers, timeout=10).raise_for_status()


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Run simulators, Mosquitto, PostgreSQL and the gateway."""
    (folder / "secrets").mkdir()
    for name in SECRETS:
        (folder / "secrets" / name).write_text(f"{name}-0123456789abcdef\n", encoding="utf-8")
    with simulators(folder) as machines, mosquitto(folder) as broker, postgresql(folder) as database:
        places = machines | {
            "@mosquitto:1883": f"@127.0.0.1:{broker.port}",
            "@postgres/gateway": "@" + database.rpartition("@")[2],
            "0.0.0.0:8080": "127.0.0.1:0",
            "/var/lib/gateway": str(folder / "data"),
            "/run/secrets": str(folder / "secrets"),
            "# sparkplug: {}": "sparkplug: {writes: true}",
            "bus:\n": f"webhooks: {{erp: {_webhook(folder)}}}\nbus:\n  writes: true\n",
            "historian:\n": 'tracing: {endpoint: "http://127.0.0.1:9"}\nhistorian:\n',
        }
        plant = here("plant.yaml", places, folder)
        with running(plant) as gateway:
            yield Stack(folder / "secrets", plant, gateway, broker.port)


def _webhook(folder: Path) -> str:
    """An endpoint where nobody is."""
    (folder / "secrets" / "webhook").write_text(f"whsec_{'A' * 32}", encoding="utf-8")
    secret = f"${{file:{folder / 'secrets' / 'webhook'}}}"
    return f'{{url: "http://127.0.0.1:9/", secret: "{secret}", allow_private: true}}'


def here(name: str, places: Mapping[str, str], folder: Path) -> Path:
    """Write a file of docker/ into a folder, with the places of this machine; all that are named must be in it."""
    text = (DOCKER / name).read_text(encoding="utf-8")
    for place, replacement in places.items():
        assert place in text, f"{place} is not in {name} any more"
        text = text.replace(place, replacement)
    written = folder / name
    written.write_text(text, encoding="utf-8")
    return written


@contextmanager
def simulators(folder: Path) -> Iterator[dict[str, str]]:
    """Run the shop floor; give the address here of every address that the gateway has in its container."""
    devices = {number: f"127.0.0.1:{free_port()}" for number in (4840, 5020, 5021, 5022, 5023)}
    places = {f"0.0.0.0:{number}": address for number, address in devices.items()}
    plant = here("simulators.yaml", places | {"127.0.0.1:4841": f"127.0.0.1:{free_port()}"}, folder)
    command = [sys.executable, "-m", "simulators", str(plant), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert '"ready": true' in process.stdout.readline()
            yield {f"simulators:{number}": address for number, address in devices.items()}
        finally:
            process.terminate()


@contextmanager
def mosquitto(folder: Path) -> Iterator[BrokerProcess]:
    """Run the broker by the script that is its entry point."""
    needs("mosquitto_passwd")
    port, data = free_port(), folder / "mosquitto"
    data.mkdir()
    files = {"/tmp/passwords": str(folder / "passwords"), "/tmp/acl": str(folder / "acl")}
    config = here(
        "mosquitto.conf", files | {"listener 1883": f"listener {port} 127.0.0.1", "/mosquitto/data": str(data)}, folder
    )
    if os.getuid() == 0:  # or it would become another user, who may not read the passwords
        config.write_text(config.read_text(encoding="utf-8") + "user root\n", encoding="utf-8")
    start = here(
        "mosquitto.sh",
        files
        | {
            "/run/secrets": str(folder / "secrets"),
            "/mosquitto/config/mosquitto.conf": str(config),
            "/mosquitto/config/mosquitto.acl": str(DOCKER / "mosquitto.acl"),
            "exec mosquitto": f"exec {needs('mosquitto')}",
        },
        folder,
    )
    broker = BrokerProcess(["sh", str(start)], port, folder / "mosquitto.log")
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


class MqttUser:
    """A connection of some user to the broker: whether it was let in, and what it hears."""

    def __init__(self, port: int, user: str = "", password: str = "") -> None:
        self.heard: queue.Queue[str] = queue.Queue()
        self._answer: queue.Queue[bool] = queue.Queue()
        self._client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._answer.put(not code.is_failure)
        self._client.on_subscribe = lambda _c, _u, _m, codes, _p: self._answer.put(not codes[0].is_failure)
        self._client.on_message = lambda _c, _u, message: self.heard.put(message.topic)
        if user:
            self._client.username_pw_set(user, password)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "MqttUser":
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def let_in(self) -> bool:
        return self._answer.get(timeout=10)

    def subscribe(self, topic: str) -> bool:
        """Return whether the broker agrees."""
        self._client.subscribe(topic, qos=1)
        return self._answer.get(timeout=10)

    def publish(self, topic: str) -> None:
        """Publish something and wait until the broker has dealt with it."""
        self._client.publish(topic, "something", qos=1).wait_for_publish(timeout=10)

    def hear(self, topic: str) -> list[str]:
        """Wait for a message on a topic; return the topics of all messages up to it."""
        topics: list[str] = []
        while not topics or topics[-1] != topic:
            topics.append(self.heard.get(timeout=15))
        return topics
