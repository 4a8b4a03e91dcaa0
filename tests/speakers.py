"""Who publishes on a broker, for tests that read there: sensors, a gateway, an edge node. None of it is ours.

paho speaks to the broker and protobuf makes the metrics. Each says all its values again and again, as plants do.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests import servers
from tests.edge import metric
from tests.tahu import Payload

PERIOD_S: Final = 0.05
ASSET: Final = "uns/acme/dresden/line1/filler"
GATEWAY: Final = "uns/acme/dresden/_gateway/gw1"

Broker = Callable[[Path], AbstractContextManager[servers.BrokerProcess]]


class Speaker:
    """A broker, and somebody who publishes `values` on it; what is said of them is the business of `say`."""

    def __init__(self, broker: servers.BrokerProcess) -> None:
        self.broker = broker
        self.values: dict[str, Any] = {
            "temperature": 20.5, "count": 7, "big": 2**64 - 1, "running": True, "recipe": "Grüße",
        }  # fmt: skip
        self.sequence = 0
        self.boot = 1
        self.gateway = "gw1"
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _user, message: self._hear(message)
        self.heard: list[tuple[str, bytes]] = []
        self.reborn = True

    @property
    def url(self) -> str:
        return self.broker.url

    async def stop(self) -> None:
        self.broker.kill()

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False, qos: int = 1) -> None:
        self._last = self.client.publish(topic, payload, qos=qos, retain=retain)

    async def confirmed(self) -> None:
        """Wait until the broker has what was published so far."""
        await asyncio.to_thread(self._last.wait_for_publish, 10)

    # --- what is said ---------------------------------------------------------------------

    def sensors(self) -> None:
        self.publish("hall/air", json.dumps({"t": {"c": self.values["temperature"]}, "ts": time.time_ns() // 10**6}))
        for name in ("count", "big", "recipe"):
            self.publish(f"hall/{name}", str(self.values[name]))
        self.publish("hall/running", "true")

    def batch(self, **more: Any) -> bytes:
        """Say the values as the batch message of a gateway; give it."""
        self.sequence += 1
        values = [*self.values.values()]
        values[2] = str(values[2])  # integers beyond 2^53 are strings
        message = {
            "v": 1, "gateway": self.gateway, "boot": self.boot, "seq": self.sequence, "time": time.time_ns() // 1000,
            "tags": [*self.values], "values": values,
        }  # fmt: skip
        payload = json.dumps(message | more).encode()
        self.publish(f"{ASSET}/_batch", payload)
        return payload

    def edge_node(self) -> None:
        """Say them as an edge node does: births when asked, then data by alias."""
        now_ms = time.time_ns() // 10**6
        if self.reborn:
            self.reborn = False
            born = Payload(timestamp=now_ms, seq=0)
            metric(born, "bdSeq", None, 4, long_value=0)
            self.publish("spBv1.0/g/NBIRTH/n", born.SerializeToString(), qos=0)
            self.sequence = 1
            self._metrics("DBIRTH", now_ms, named=True)
        self.sequence = (self.sequence + 1) % 256
        self._metrics("DDATA", now_ms, named=False)

    def _metrics(self, verb: str, now_ms: int, *, named: bool) -> None:
        payload = Payload(timestamp=now_ms, seq=self.sequence)
        kinds = {
            "temperature": (10, "double_value"), "count": (3, "int_value"), "big": (8, "long_value"),
            "running": (11, "boolean_value"), "recipe": (12, "string_value"),
        }  # fmt: skip
        for alias, (name, (datatype, key)) in enumerate(kinds.items()):
            metric(payload, name if named else "", alias, datatype if named else None, **{key: self.values[name]})
        self.publish(f"spBv1.0/g/{verb}/n/press", payload.SerializeToString(), qos=0)

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
        if "/NCMD/" in message.topic:
            asked = Payload.FromString(message.payload)
            self.reborn = self.reborn or asked.metrics[0].name == "Node Control/Rebirth"


@asynccontextmanager
async def speaker(
    broker: Broker = servers.mosquitto, say: Callable[[Speaker], Any] | None = None
) -> AsyncIterator[Speaker]:
    """Run a broker and somebody who says something on it, all the time if `say` is given."""
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as running:
        one = Speaker(running)
        one.client.connect("127.0.0.1", running.port)
        one.client.subscribe([("spBv1.0/g/NCMD/n", 1), (f"{GATEWAY}/replay", 1)])
        one.client.loop_start()

        async def speak() -> None:
            while say is not None:
                say(one)
                await asyncio.sleep(PERIOD_S)

        try:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(speak())
                yield one
                task.cancel()
        finally:
            one.client.disconnect()
            await asyncio.to_thread(one.client.loop_stop)
