"""`gateway tail`: readings as they pass on the bus."""

import argparse
import asyncio
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from gateway.model.quality import name, severity
from gateway.mqtt import connect
from gateway.payload import parse, timestamps

HELP = "print readings as they pass on the bus"
EXAMPLES = """  gateway tail                                   # everything on the local broker
  gateway tail '*/filler/*'
  gateway tail '*/_maintenance/*' --json
  gateway tail '*temperature' --url mqtt://broker:1883 --count 10"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="glob over the path, such as '*/filler/*'")
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883", help="the broker")
    parser.add_argument("--root", default="uns", help="first level of the topics")
    parser.add_argument("--count", type=int, metavar="N", help="stop after so many readings")
    parser.add_argument("--json", action="store_true", help="one JSON object per reading")


def run(args: argparse.Namespace) -> int:
    asyncio.run(_tail(args))
    return 0


async def _tail(args: argparse.Namespace) -> None:
    """Print until the broker is lost (OSError), or so many readings have come."""
    left = args.count
    enough = asyncio.Event()

    def receive(topic: str, payload: bytes, retained: bool) -> None:
        nonlocal left
        if not topic.endswith("/_batch"):
            return
        asset = topic.removeprefix(f"{args.root}/").removesuffix("/_batch")
        for reading in _readings(asset, payload):
            if enough.is_set() or not fnmatchcase(reading["path"], args.pattern):
                continue
            print(json.dumps(reading) if args.json else _line(reading), flush=True)
            if left is not None:
                left -= 1
                if left <= 0:
                    enough.set()

    async with connect(args.url, f"gateway-tail-{os.getpid()}") as mqtt:
        await mqtt.subscribe(f"{args.root}/#", receive)
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(mqtt.lost())
            await enough.wait()
            lost.cancel()


def _readings(asset: str, payload: bytes) -> Iterator[dict[str, Any]]:
    message = parse(payload)
    times = timestamps(np.array(message.time_us, np.int64) * 1000)
    for tag, value, time, status in zip(message.tags, message.values, times, message.status, strict=True):
        reading = {"path": f"{asset}/{tag}", "value": value, "timestamp": time, "quality": severity(status)}
        yield reading | ({"status": status, "reason": name(status)} if status else {})


def _line(reading: dict[str, Any]) -> str:
    value = reading["value"]
    shown = f"[{len(value)} samples]" if isinstance(value, list) else value
    return f"{reading['timestamp']}  {reading['path']:64} {shown!s:>24}  {reading.get('reason', '')}".rstrip()
