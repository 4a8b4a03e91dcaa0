"""Production is killed while it works, again and again: nothing is counted or told twice and nothing is missing."""

import asyncio
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import httpx
import orjson

from gateway.bench import pipeline
from gateway.production.elements import elements
from tests.feeder import RECORDS, SECOND_NS, UNIT, opened
from tests.integration.process import GatewayProcess, plant, running, write
from tests.lives import lived
from tests.servers import Subscriber, nats

KILLS = 6


def test_killed_while_it_writes_it_still_counts_each_record_once(tmp_path: Path) -> None:
    chance = random.Random(5)
    for _ in range(KILLS):
        lived("tests.feeder", tmp_path, chance.randint(20, 500))
    lived("tests.feeder", tmp_path, None)
    file, keeper = opened(tmp_path)
    found = elements(keeper.facts(UNIT, 0, RECORDS * SECOND_NS), 0, RECORDS * SECOND_NS)
    stops = 90 * (RECORDS // 1_000) + RECORDS // 1_000 - 1  # the seconds up to 90 of each thousand, from second 1 on
    assert found["PQ"] == 7 * (RECORDS - 2), "the first reading has no step, and the last is not in the range"
    assert found["ADOT"] + found["ADET"] == stops
    assert found["APT"] == RECORDS - 1 - stops
    assert found["unknown"] == Fraction(1), "before the first reading"
    assert found["resets"] == 0
    file.close()


def worked(gateway: GatewayProcess, id: str) -> None:
    """Take an order and end it."""
    order = {"ID": id, "HierarchyScope": {"EquipmentID": "filler"}, "Command": "Start"}
    for path, wish in (("orders", order), (f"orders/{id}/commands", {"Command": "Stop"})):
        httpx.post(f"{gateway.ready['api']}/api/v1/{path}", json=wish, headers={"Idempotency-Key": path + id})


async def test_orders_are_told_once_on_the_bus_though_the_gateway_is_killed(tmp_path: Path) -> None:
    orders = [f"JO-{n}" for n in range(8)]
    with nats(tmp_path) as broker, pipeline.devices(1, 5) as ports:
        unit = {"asset": "hall/device0", "state": "v0", "standard": "running"}
        keys = plant(tmp_path, ports, bus=broker.url, production={"units": {"filler": unit}})
        config = write(tmp_path / "plant.yaml", keys)

        def live(orders: list[str], *, until_told: int) -> None:
            gateway = GatewayProcess(config)
            for id in orders:
                worked(gateway, id)
            gateway.until(lambda: gateway.metric("gateway_part_events_told_total") >= until_told)
            gateway.kill()

        async with Subscriber(broker.port) as seen:
            await asyncio.to_thread(live, orders[:4], until_told=0)
            await asyncio.to_thread(live, orders[4:], until_told=1)
            with running(config):
                await seen.until(lambda: len(told_of(seen)) == 3 * len(orders), 30)
    assert told_of(seen) == Counter({(id, command): 1 for id in orders for command in ("Store", "Run", "Stop")})


def told_of(seen: Subscriber) -> Counter[tuple[str, str]]:
    """How often a subscriber was told what of which order; a message that came again has the same id."""
    messages = [orjson.loads(message) for message in seen.on("hall/device0/_event")]
    events = {message["id"]: message["data"] for message in messages}
    return Counter((event["JobOrderID"], event["Command"]) for event in events.values())
