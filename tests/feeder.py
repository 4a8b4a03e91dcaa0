"""A process that feeds production from a journal whose records can be made again, until it is killed or done."""

import asyncio
import sys
from pathlib import Path

import numpy as np

from gateway.model import Batch, Catalog, Record, Tag
from gateway.production.file import ProductionFile
from gateway.production.keeper import Keeper, Settings
from gateway.production.states import STATES
from gateway.production.unit import Unit
from tests.inline import inline

RECORDS = 4_000
SECOND_NS = 10**9
ASSET = "acme/dresden/filler"
UNIT = Unit(
    "filler", ASSET, {"state": f"{ASSET}/state", "produced": f"{ASSET}/processed"}, STATES["packml"], rollover=2**16
)


class Clock:
    def now_ns(self) -> int:
        return RECORDS * SECOND_NS


def record(position: int) -> Record:
    """A second: 7 pieces more, a counter of 16 bits, an order every 1,000 s with a stop in it."""
    state = 6 if position % 1_000 > 90 else 11
    batch = Batch.of([0, 1], position * SECOND_NS, np.array([state, position * 7 % 2**16]))
    return Record(position, 0, 1, position, position * SECOND_NS, (batch,))


def opened(folder: Path) -> tuple[ProductionFile, Keeper]:
    file = ProductionFile(folder / "production.db")
    catalog = Catalog(Tag(ASSET, name) for name in ("state", "processed"))
    return file, Keeper(file, inline, catalog, Clock(), [UNIT], Settings("j", 10**18))


async def feed(folder: Path) -> None:
    """Hand over everything from the beginning, as a cursor does that has confirmed nothing."""
    _, keeper = opened(folder)
    for first in range(1, RECORDS + 1, 5):
        await keeper.write([record(position) for position in range(first, first + 5)])
        sys.stdout.write(f"{first}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(feed(Path(sys.argv[1])))
