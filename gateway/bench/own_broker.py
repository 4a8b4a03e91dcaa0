"""The embedded broker, for rounds that need one and no gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.bus.broker import Broker
from gateway.ports import free


@asynccontextmanager
async def own_broker(folder: Path) -> AsyncIterator[int]:
    """Run a broker on this machine as long as the scope lasts, with its files below a folder; give its port."""
    port = free()
    broker = Broker("127.0.0.1", port, folder / "broker", folder / "broker.log")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(broker.run(lambda: None))
        await broker.ready.wait()
        yield port
        running.cancel()
