"""`gateway bench`: what the gateway does on this machine, beside what the machine can do."""

import argparse
import asyncio
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.bench import acquire, api, bus, goals, history, i3x, opcua, passage, pipeline, signals, sparkplug, stages
from gateway.bench.limit import raw_sockets
from gateway.bench.measured import Measured
from gateway.bench.own_broker import own_broker
from gateway.bench.reader import Alone, alone
from gateway.clock import loop_factory
from gateway.model.duration import seconds

HELP = "measure the gateway on this machine, beside the limit of the machine"
EXAMPLES = """  gateway bench all
  gateway bench modbus                 our connector beside raw sockets, libmodbus and pymodbus
  gateway bench opcua                  our connector beside asyncua and bytes that are only counted
  gateway bench bus                    what messages cost, beside paho and a plain socket
  gateway bench sparkplug              readings as Sparkplug metrics, beside columnar JSON
  gateway bench history                what storing and asking costs, beside rows of SQLite
  gateway bench signals                what each kind costs per reading, beside the least of numpy
  gateway bench i3x                    readings as i3X JSON, beside an object per reading
  gateway bench api                    answers and streams, beside a bare ASGI answer of the same bytes
  gateway bench scale                  100 devices of 1,000 tags, every second
  gateway bench pipeline --devices 50 --poll 1s
  gateway bench all --json"""

_MESSAGES: Final = 50_000
_SCALE: Final = (100, 999, "1s")
"""Devices, values beside the stamp, and period of the scale round."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=[
            *("all", "modbus", "opcua", "bus", "sparkplug", "history", "i3x", "api", "signals"),
            *("stages", "pipeline", "scale"),
        ],
        nargs="?",
        default="all",
        help="all is modbus, stages and pipeline; opcua has its own server; it heeds --seconds alone, "
        "bus, history, i3x, api and signals none",
    )
    parser.add_argument("--devices", type=int, default=10, metavar="N")
    parser.add_argument(
        "--values", type=int, default=999, metavar="N", help="float32 values per device, beside its stamp"
    )
    parser.add_argument("--poll", default="50ms", help="of the paced round; the other goes as fast as it can")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="length of each round")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    others = {"opcua": _opcua, "bus": _bus, "sparkplug": _sparkplug, "history": _history, "i3x": _i3x, "api": _api}
    others["signals"] = _signals
    return others.get(args.what, _modbus)(args)


def _api(args: argparse.Namespace) -> int:
    told = api.measure()
    promised = goals.of_api(told)
    if args.json:
        print(_listed(api=told, goals=promised))
    else:
        print("\n".join([*api.table(told), *goals.table(promised)]))
    return 0


def _signals(args: argparse.Namespace) -> int:
    costs = signals.measure()
    promised = signals.goals(costs)
    if args.json:
        print(_listed(signals=costs, goals=promised))
    else:
        print("\n".join([*signals.table(costs), *goals.table(promised)]))
    return 0


def _i3x(args: argparse.Namespace) -> int:
    told = i3x.measure()
    if args.json:
        print(json.dumps({"i3x": [dataclasses.asdict(row) for row in told]}))
    else:
        print("\n".join(i3x.table(told)))
    return 0


def _sparkplug(args: argparse.Namespace) -> int:
    encoded = sparkplug.measure(args.values + 1, args.seconds)
    promised = goals.of_sparkplug(encoded)
    if args.json:
        print(_listed(sparkplug=encoded, goals=promised))
    else:
        print("\n".join([*sparkplug.table(encoded), *goals.table(promised)]))
    return 0


def _history(args: argparse.Namespace) -> int:
    results = history.measure()
    promised = goals.of_history(results)
    if args.json:
        print(json.dumps(dataclasses.asdict(results) | {"goals": [dataclasses.asdict(one) for one in promised]}))
    else:
        print("10 devices x 1,000 tags, every 10 ms, into SQLite, and one of them beside its peers;")
        print("CPU in seconds per million readings")
        print("\n".join([*_history_tables(results), *goals.table(promised)]))
    return 0


def _bus(args: argparse.Namespace) -> int:
    rows = bus.measure(_MESSAGES)
    promised = goals.of_bus(rows)
    if args.json:
        print(_listed(bus=rows, goals=promised))
        return 0
    print("messages to the embedded broker, QoS 1; CPU in seconds per million values")
    ours = rows[3]
    print(f"\n{'':38}{'values/s':>12}{'CPU':>9}{'of per tag':>12}")
    for row in rows:
        ratio = row.cpu_per_million / ours.cpu_per_million
        print(f"{row.name:38}{row.rate:>12,.0f}{row.cpu_per_million:>9.3f}{ratio:>12.2f}")
    print("\n".join(goals.table(promised)))
    return 0


def _opcua(args: argparse.Namespace) -> int:
    compared = opcua.measure(args.seconds)
    if args.json:
        print(_listed(opcua=compared))
    else:
        print("an OPC UA server that answers from memory; CPU in seconds per million values")
        print("\n".join(line for one in compared for line in _compared_table(one)))
    return 0


def _modbus(args: argparse.Namespace) -> int:
    rounds = [(f"every {args.poll}", args.poll), ("flat out", "1ms")]
    if args.what == "scale":
        args.devices, args.values, args.poll = _SCALE
        rounds = [(f"every {args.poll}", args.poll)]
    readers: list[Measured | None] = []
    cost: list[Measured] = []
    arrived: list[pipeline.Arrived] = []
    alone_ms: passage.Passage | None = None
    by_themselves: Alone | None = None
    with tempfile.TemporaryDirectory() as folder, pipeline.devices(args.devices, args.values) as ports:
        if args.what in ("all", "modbus"):
            readers = acquire.measure(ports, args.values, args.seconds)
        if args.what in ("all", "stages"):
            cost = [raw_sockets(ports, args.values, args.seconds), *_stages(args, ports, Path(folder))]
        if args.what == "scale":
            by_themselves = alone(ports, args.values, seconds(args.poll), args.seconds)
        if args.what in ("all", "pipeline", "scale"):
            arrived = [_arrived(args, ports, name, poll, Path(folder)) for name, poll in rounds]
            pace_s = seconds(args.poll) / args.devices
            alone_ms = passage.measure(args.values + 1, pace_s, args.seconds, Path(folder) / "passage")
    promised = [*(goals.of_stages(cost[1:]) if cost else ()), *(goals.of_pipeline(arrived[0]) if arrived else ())]
    if args.json:
        found = [row for row in readers if row]
        alone_ = [by_themselves] if by_themselves else []
        passed = [alone_ms] if alone_ms else []
        print(_listed(modbus=found, stages=cost, pipeline=arrived, passage=passed, alone=alone_, goals=promised))
    else:
        print(f"{args.devices} Modbus devices x {args.values + 1} values; CPU in seconds per million values")
        ends = [*_pipeline_table(arrived), *_passage_line(alone_ms)]
        tables = [_readers_table(readers), _stages_table(cost), ends, _alone_line(by_themselves)]
        print("\n".join(line for table in [*tables, goals.table(promised)] for line in table))
    return 1 if any(row.missing for row in arrived) else 0


def _stages(args: argparse.Namespace, ports: Sequence[int], folder: Path) -> list[Measured]:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_with_broker(ports, args.values, args.seconds, folder))


async def _with_broker(ports: Sequence[int], values: int, seconds: float, folder: Path) -> list[Measured]:
    async with own_broker(folder) as port:
        return await stages.measure(ports, values, f"mqtt://127.0.0.1:{port}", 0.1, seconds)


def _arrived(args: argparse.Namespace, ports: Sequence[int], name: str, poll: str, folder: Path) -> pipeline.Arrived:
    place = folder / name.replace(" ", "-")
    place.mkdir()
    return pipeline.measure(name, ports, args.values, poll, args.seconds, place)


def _listed(**parts: Sequence[Any]) -> str:
    """Rows by what they are of, as JSON."""
    return json.dumps({name: [dataclasses.asdict(row) for row in rows] for name, rows in parts.items()})


def _readers_table(rows: Sequence[Measured | None]) -> list[str]:
    """Each way to read the devices; behind it, what each of ours costs as a multiple of it."""
    ours = [row for row in rows[-len(acquire.IN_FLIGHT) :] if row]
    if not ours:
        return []
    head = "".join(f"{name.removeprefix('connector, '):>13}" for name in acquire.IN_FLIGHT)
    lines = ["", f"{'as fast as it goes':34}{'values/s':>12}{'CPU':>9}  connector /{head}"]
    for row in rows:
        if row is None:
            lines.append("libmodbus in C: not on this machine (needs a C compiler and libmodbus with its header)")
            continue
        ratios = "".join(f"{one.cpu_per_million / row.cpu_per_million:>13.3f}" for one in ours)
        lines.append(f"{row.name:34}{row.rate:>12,.0f}{row.cpu_per_million:>9.3f}{'':13}{ratios}")
    return lines


def _compared_table(compared: opcua.Compared) -> list[str]:
    """Each way to the same values, as a multiple of the limit and as a fraction of asyncua's own."""
    limit, *_, asyncua = (way.cpu_per_million for way in compared.ways)
    lines = ["", f"{compared.title:38}{'values/s':>12}{'CPU':>9}{'x limit':>9}{'of asyncua':>12}"]
    for row in [*compared.ways, compared.server]:
        cpu, ratios = row.cpu_per_million, ""
        if row is not compared.server:
            ratios = f"{cpu / limit:>9.1f}{f'1/{asyncua / cpu:.0f}':>12}"
        lines.append(f"{row.name:38}{row.rate:>12,.0f}{cpu:>9.3f}{ratios}")
    return lines


def _history_tables(results: history.Results) -> list[str]:
    """What it costs to store a reading and to ask for some, beside what it costs the peers."""
    lines = []
    for stored in (results.stored, list(results.compared.values())):
        lines += ["", f"{'':38}{'readings/s':>12}{'CPU':>9}{'bytes':>8}"]
        for row, size in ((one.measured, one.bytes_per_reading) for one in stored):
            told = "" if size is None else f"{size:.2f}"
            lines.append(f"{row.name:38}{row.rate:>12,.0f}{row.cpu_per_million:>9.3f}{told:>8}")
    lines += ["", f"{'milliseconds':38}{'history':>12}" + "".join(f"{name:>12}" for name in results.asked[0].peers_ms)]
    for one in results.asked:
        lines.append(f"{one.name:38}{one.history_ms:>12.2f}" + "".join(f"{ms:>12.1f}" for ms in one.peers_ms.values()))
    beside = results.beside
    lines.append(f"{'append, p99, alone and beside these':38}{beside.alone_ms:>12.2f}{beside.asked_ms:>12.2f}")
    return lines


def _stages_table(cost: Sequence[Measured]) -> list[str]:
    if not cost:
        return []
    limit, first, *_ = cost
    lines = ["", f"{'every 100 ms':34}{'values/s':>12}{'CPU':>9}{'stage':>9}{'x limit':>9}"]
    before = 0.0
    for row in cost:
        name = row.name if row in (limit, first) else f"+ {row.name}"
        share, ratio = row.cpu_per_million - before, row.cpu_per_million / limit.cpu_per_million
        added = "" if row is limit else f"{share:.3f}"
        lines.append(f"{name:34}{row.rate:>12,.0f}{row.cpu_per_million:>9.3f}{added:>9}{ratio:>9.1f}")
        before = 0.0 if row is limit else row.cpu_per_million
    return lines


def _pipeline_table(arrived: Sequence[pipeline.Arrived]) -> list[str]:
    if not arrived:
        return []
    head = f"{'device to MQTT subscriber':26}{'values/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'decoded':>9}{'p99 ms':>9}"
    head += f"{'missing':>9}"
    lines = ["", head + f"{'gateway':>9}{'cores':>7}{'broker':>9}{'cores':>7}{'RSS MiB':>9}{'at most':>9}"]
    return lines + [
        f"{end.name:26}{end.rate:>12,.0f}{end.p50_ms:>9.2f}{end.p99_ms:>9.2f}"
        f"{end.decoded_p50_ms:>9.2f}{end.decoded_p99_ms:>9.2f}{end.missing:>9}"
        f"{end.gateway_cpu:>9.3f}{end.cores:>7.2f}{end.broker_cpu:>9.3f}{end.broker_cores:>7.2f}"
        f"{end.rss_mib:>9.0f}{end.peak_mib:>9.0f}"
        for end in arrived
    ]


def _passage_line(row: passage.Passage | None) -> list[str]:
    if row is None:
        return []
    return [f"of which broker and subscriber alone: p50 {row.p50_ms:.2f} ms, p99 {row.p99_ms:.2f} ms"]


def _alone_line(row: Alone | None) -> list[str]:
    if row is None:
        return []
    told = f"{row.rate:,.0f} values/s, {row.cores:.3f} cores, {row.rss_mib:.0f} MiB"
    return ["", f"connectors alone, up to the batch: {told}"]
