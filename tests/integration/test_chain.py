"""Two gateways in a chain: the second reads the batch messages of the first. Nothing is lost, nothing comes twice.

    device -> gateway one -> broker between -> gateway two -> another broker

Whatever dies in between: the broker, which remembers nothing, and the second gateway, in the middle of its work.
"""

import asyncio
from collections import Counter
from pathlib import Path

from gateway.bench import pipeline
from gateway.payload import Message, parse
from tests import servers
from tests.integration.process import GatewayProcess, alive, plant, write

TAGS = ("stamp", *(f"v{k}" for k in range(5)))
ASSET, COPY = "hall/device0", "copy/device0"


def second(folder: Path, between: str, beyond: str) -> Path:
    """The configuration of a gateway that reads what the first one publishes."""
    folder.mkdir()
    keys = plant(folder, [], bus=beyond)
    keys["devices"] = {
        "one": {
            "connect": between,
            "asset": COPY,
            "batch": f"uns/acme/test/{ASSET}",
            "tags": {name: {"type": "integer"} if name == "stamp" else {} for name in TAGS},
        }
    }
    return write(folder / "plant.yaml", {"id": "gw2"} | keys)


def stamps(messages: list[Message]) -> list[int]:
    """The good stamps of batch messages, each message once: it may come again with the same identity."""
    once = {(m.boot, m.sequence): m for m in messages}
    rows = [zip(m.tags, m.values, m.status, strict=True) for m in once.values()]
    return [int(value) for row in rows for tag, value, status in row if tag == "stamp" and not status]


def told(subscriber: servers.Subscriber) -> list[int]:
    return stamps([parse(payload) for payload in subscriber.on(f"{COPY}/_batch")])


async def test_nothing_is_lost_or_doubled_when_the_broker_and_the_second_gateway_die(tmp_path: Path) -> None:
    for name in ("between", "beyond"):
        (tmp_path / name).mkdir()
    with (
        pipeline.devices(1, 5) as ports,
        servers.mosquitto(tmp_path / "between") as between,
        servers.mosquitto(tmp_path / "beyond") as beyond,
    ):
        one = write(tmp_path / "one.yaml", plant(tmp_path, ports, bus=between.url, poll="20ms"))
        two = second(tmp_path / "two", between.url, beyond.url)
        async with alive(one) as first, servers.Subscriber(beyond.port) as subscriber:
            await through_the_broker_and_kills(first, two, between, subscriber)


async def through_the_broker_and_kills(
    first: GatewayProcess, two: Path, between: servers.BrokerProcess, subscriber: servers.Subscriber
) -> None:
    async def more(messages: int = 100) -> None:
        wanted = len(subscriber.messages) + messages
        await subscriber.until(lambda: len(subscriber.messages) >= wanted, patience_s=60.0)

    second = await asyncio.to_thread(GatewayProcess, two)
    await more()
    between.kill()
    between.start()
    await more()
    for _ in range(2):
        second.kill()  # some of what it has taken is in its journal, and nobody has written down how much
        await asyncio.to_thread(until_more, first, 50)
        second = await asyncio.to_thread(GatewayProcess, two)
        await more()
    try:
        await asyncio.to_thread(compare, first, second, subscriber)
        assert second.metric("gateway_device_lost_messages_total", device="one") == 0
    except BaseException:
        second.kill()
        raise
    code, errors = await asyncio.to_thread(second.stop)
    assert code == 0, errors


def until_more(gateway: GatewayProcess, records: int) -> None:
    wanted = gateway.metric("gateway_part_records_total", part="journal") + records
    gateway.until(lambda: gateway.metric("gateway_part_records_total", part="journal") > wanted)


def compare(first: GatewayProcess, second: GatewayProcess, subscriber: servers.Subscriber) -> None:
    """What one has stored between the first and the last that two has, two has as well, and has told it once."""
    produced = stored(first, ASSET)
    since = produced[produced.index(stored(second, COPY)[0]) :]
    assert len(since) > 400
    second.until(lambda: set(since) <= set(stored(second, COPY)))
    assert stored(second, COPY)[: len(since)] == since
    again = [stamp for stamp, n in Counter(told(subscriber)).items() if n > 1]
    assert again == []
    assert set(told(subscriber)) >= set(since[:-50])


def stored(gateway: GatewayProcess, asset: str) -> list[int]:
    """The good stamps in history, in order of time."""
    readings = gateway.get(f"/api/v1/history/{asset}/stamp", limit="100000")["readings"]
    return [int(reading["value"]) for reading in readings if reading["quality"] == "good"]
