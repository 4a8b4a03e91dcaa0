"""`gateway bench`: what the gateway does on this machine, beside what the machine can do."""

import argparse
import asyncio
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gateway.bench import pipeline, stages
from gateway.bench.limit import Measured, raw_sockets
from gateway.bus.broker import Broker
from gateway.ports import free

HELP = "measure the gateway on this machine, beside the limit of the machine"
EXAMPLES = """  gateway bench all
  gateway bench all --devices 100 --values 1000 --poll 1s
  gateway bench all --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", choices=["all", "modbus"], nargs="?", default="all", help="modbus leaves the pipeline out"
    )
    parser.add_argument("--devices", type=int, default=10, metavar="N")
    parser.add_argument(
        "--values", type=int, default=999, metavar="N", help="float32 values per device, beside its stamp"
    )
    parser.add_argument("--poll", default="50ms", help="of the paced round; the other goes as fast as it can")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="length of each round")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    arrived: list[pipeline.Arrived] = []
    with tempfile.TemporaryDirectory() as folder, pipeline.devices(args.devices, args.values) as ports:
        limit = raw_sockets(ports, args.values, args.seconds)
        cost = asyncio.run(_stages(ports, args.values, args.seconds, Path(folder)))
        if args.what == "all":
            for name, poll in ((f"every {args.poll}", args.poll), ("flat out", "1ms")):
                place = Path(folder) / name.replace(" ", "-")
                place.mkdir()
                arrived.append(pipeline.measure(name, ports, args.values, poll, args.seconds, place))
    print(_json(limit, cost, arrived) if args.json else _table(args, limit, cost, arrived))
    return 1 if any(row.missing for row in arrived) else 0


async def _stages(ports: Sequence[int], values: int, seconds: float, folder: Path) -> list[Measured]:
    port = free()
    broker = Broker("127.0.0.1", port, folder / "broker", folder / "broker.log")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(broker.run(lambda: None))
        await broker.ready.wait()
        measured = await stages.measure(ports, values, f"mqtt://127.0.0.1:{port}", 0.1, seconds)
        running.cancel()
    return measured


def _json(limit: Measured, cost: Sequence[Measured], arrived: Sequence[pipeline.Arrived]) -> str:
    rows = [dataclasses.asdict(row) for row in (limit, *cost)]
    return json.dumps({"stages": rows, "pipeline": [dataclasses.asdict(row) for row in arrived]})


def _table(
    args: argparse.Namespace, limit: Measured, cost: Sequence[Measured], arrived: Sequence[pipeline.Arrived]
) -> str:
    lines = [
        f"{args.devices} Modbus devices x {args.values + 1} values; CPU in seconds per million values",
        "",
        f"{'':34}{'values/s':>12}{'CPU':>9}{'stage':>9}{'x limit':>9}",
        f"{'limit: raw socket loop, no decoding':34}{limit.rate:>11,.0f}{limit.cpu_per_million:>9.3f}{'':>9}{1:>9.1f}",
    ]
    before = 0.0
    for row in cost:
        name = row.name if row is cost[0] else f"+ {row.name}"
        share, ratio = row.cpu_per_million - before, row.cpu_per_million / limit.cpu_per_million
        lines.append(f"{name:34}{row.rate:>12,.0f}{row.cpu_per_million:>9.3f}{share:>9.3f}{ratio:>9.1f}")
        before = row.cpu_per_million
    if arrived:
        head = f"{'device to MQTT subscriber':26}{'values/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'missing':>9}"
        lines += ["", head + f"{'gateway':>9}{'broker':>9}{'RSS MiB':>9}"]
    for end in arrived:
        lines.append(
            f"{end.name:26}{end.rate:>12,.0f}{end.p50_ms:>9.2f}{end.p99_ms:>9.2f}{end.missing:>9}"
            f"{end.gateway_cpu:>9.3f}{end.broker_cpu:>9.3f}{end.rss_mib:>9.0f}"
        )
    return "\n".join(lines)
