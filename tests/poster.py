"""A process that sends events of a journal that can be made again to a receiver, until it is killed or all have it."""

import asyncio
import random
import sys
from pathlib import Path

from gateway.clock import SystemClock
from gateway.model import Batch, Catalog, Record, Tag
from gateway.model.batch import objects
from gateway.supervise import Health, keep_running, running
from gateway.webhooks.desk import Webhooks
from gateway.webhooks.endpoint import Endpoint
from gateway.webhooks.outbox import Outbox
from tests.inline import inline
from tests.receiver import KEY

RECORDS = 60
ASSET = "acme/dresden/filler"


def record(position: int) -> Record:
    """Two events and a number."""
    values = objects([{"Message": f"{position} {which}"} for which in "ab"])
    batches = (Batch.of([1], position, 1.5), Batch.of([0, 0], position, values))
    return Record(position, 0, 1, position, position, batches)


async def send(folder: Path, port: int) -> None:
    """Hand over everything from the beginning, as a cursor does that has confirmed nothing."""
    endpoint = Endpoint("erp", f"http://127.0.0.1:{port}/", (KEY,), private=True, retries_s=(0.01,) * 50)
    catalog = Catalog([Tag(ASSET, "alarms", datatype="event"), Tag(ASSET, "speed")])
    outbox = Outbox(folder / "webhooks.db", 0)
    clock, chance = SystemClock(), random.Random()
    webhooks = Webhooks([endpoint], outbox, inline, catalog, clock, chance, "gw1", "journal")
    ((name, run, *_),) = webhooks.parts()
    async with running(keep_running(run, Health(name), clock=clock, chance=chance)):
        for first in range(1, RECORDS + 1, 3):
            await webhooks.write([record(position) for position in range(first, first + 3)])
        while (await webhooks.states())[0]["waiting"]:  # noqa: ASYNC110  # it is written down, nobody is told
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(send(Path(sys.argv[1]), int(sys.argv[2])))
