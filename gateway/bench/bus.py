"""Messages to the embedded broker with QoS 1: ours, beside paho and a socket that sends packets from memory."""

import asyncio
import socket
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.bench.measured import ROUNDS, Measured, best
from gateway.bench.own_broker import own_broker
from gateway.clock import loop_factory
from gateway.model import Batch, Catalog, Record, Tag
from gateway.mqtt import Message, connect, packets
from gateway.payload import batch_message, tag_messages

_PUBACK_BYTES = 4
_WINDOW = 1000
_TAGS = Catalog(Tag("acme/dresden/line1/filler", f"tag{i}", unit="Cel") for i in range(1000))
_BATCH = Batch.of(
    np.arange(len(_TAGS), dtype=np.uint32), 1_767_592_800_123_456_000, np.random.default_rng(1).normal(size=1000)
)
_RECORD = Record(1, 0, 1, 1, 0, (_BATCH,))


def measure(messages: int) -> list[Measured]:
    """Return the costs per batch of 1,000 values and per retained topic; paho's row only where it is installed."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(_with_broker(Path(folder), messages))


def _run(work: Coroutine[Any, Any, list[Measured]]) -> list[Measured]:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


async def _with_broker(folder: Path, n: int) -> list[Measured]:
    per_tag = [Message(f"uns/{tag.path}", payload) for tag, payload in tag_messages(_BATCH, _TAGS.tags)]
    single = [per_tag[i % len(per_tag)] for i in range(n)]
    bulk = [Message("uns/line1/_batch", batch_message(_RECORD, _TAGS, "gw1"))] * (n // 10)
    async with own_broker(folder) as port:
        rounds = [await _round(port, single, bulk) for _ in range(ROUNDS)]
    return [row for row in best(rounds) if row]


async def _round(port: int, single: Sequence[Message], bulk: Sequence[Message]) -> list[Measured | None]:
    return [
        _encoded(len(bulk)),
        await _ours("batches of 1,000 values, published", port, bulk, len(_BATCH)),
        await asyncio.to_thread(_raw, port, single),
        await _ours("per tag, published", port, single, 1),
        await asyncio.to_thread(_paho, port, single[: len(single) // 10]),
    ]


def _encoded(n: int) -> Measured:
    return _timed("batches of 1,000 values, encoded", n * len(_BATCH), lambda: _encode(n))


def _encode(n: int) -> None:
    for _ in range(n):
        batch_message(_RECORD, _TAGS, "gw1")


async def _ours(name: str, port: int, messages: Sequence[Message], values: int) -> Measured:
    async with connect(f"mqtt://127.0.0.1:{port}", "gateway-bench") as mqtt:
        begin, cpu = time.monotonic(), time.process_time()
        await mqtt.publish(messages)
        return Measured(name, len(messages) * values, time.monotonic() - begin, time.process_time() - cpu)


def _raw(port: int, messages: Sequence[Message]) -> Measured:
    """The same packets, made beforehand: the least that a Python program can do."""
    groups = [
        b"".join(
            packets.publish_head(m.topic, len(m.payload), i, retain=False) + m.payload
            for i, m in enumerate(messages[at : at + _WINDOW], 1)
        )
        for at in range(0, len(messages), _WINDOW)
    ]
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(packets.connect("gateway-bench-raw", 60))
        line.recv(_PUBACK_BYTES)

        def publish() -> None:
            for at, group in zip(range(0, len(messages), _WINDOW), groups, strict=True):
                line.sendall(group)
                left = _PUBACK_BYTES * len(messages[at : at + _WINDOW])
                while left > 0:
                    left -= len(line.recv(left))

        return _timed("per tag, packets from memory", len(messages), publish)


def _paho(port: int, messages: Sequence[Message]) -> Measured | None:
    try:
        from paho.mqtt.client import Client  # a dependency of the tests
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        return None
    client = Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(100)  # more is slower: it looks through all that waits at every answer
    client.connect("127.0.0.1", port)
    client.loop_start()

    def publish() -> None:
        for sent in [client.publish(m.topic, m.payload, 1) for m in messages]:
            sent.wait_for_publish()

    measured = _timed("per tag, paho", len(messages), publish)
    client.disconnect()
    client.loop_stop()
    return measured


def _timed(name: str, values: int, work: Callable[[], None]) -> Measured:
    begin, cpu = time.monotonic(), time.process_time()
    work()
    return Measured(name, values, time.monotonic() - begin, time.process_time() - cpu)
