"""The command: `python -m simulators PLANT.yaml`, also `gateway simulate PLANT.yaml`."""

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from simulators.lifetime import stop_at_end_of_input, stop_on_signal
from simulators.plant import Plant
from simulators.plantfile import PlantFile, host_of, port_of
from simulators.servers import control
from simulators.servers.shopfloor import ShopFloor
from simulators.summary import summary
from simulators.yamlfile import PlantFileError, load

EXAMPLES = """examples:
  gateway simulate config/plants/bottling.yaml
  gateway simulate config/plants/bottling.yaml --accelerate 60 --truth truth.jsonl
  gateway simulate config/plants/bottling.yaml --free-ports --json
  gateway simulate --control 127.0.0.1:4841 list
  gateway simulate --control 127.0.0.1:4841 on pump bearing_wear --severity 0.8
  gateway simulate --control 127.0.0.1:4841 on filler/temperature drift --severity 0.2 --ramp 10min
  gateway simulate --control 127.0.0.1:4841 off pump bearing_wear

exit codes: 0 ok, 1 something is wrong and was said, 2 usage"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if any(word.partition("=")[0] == "--control" for word in words):
            return _control(_control_parser().parse_args(words))
        return _simulate(_parser().parse_args(words))
    except SystemExit as leaving:  # argparse has said why
        return int(leaving.code or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway simulate",
        description="Simulate a bottling line behind OPC UA and Modbus TCP servers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plant", type=Path, metavar="PLANT.yaml", help="the plant file")
    parser.add_argument("--seed", type=int, help="seed of all randomness, instead of the plant file's")
    parser.add_argument("--accelerate", type=_positive, metavar="X", help="simulated seconds per second")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="append what is wrong, as JSON lines")
    parser.add_argument("--duration", type=_positive, metavar="S", help="end by itself after so many seconds")
    parser.add_argument("--free-ports", action="store_true", help="take free ports for those in use")
    parser.add_argument("--json", action="store_true", help="say on one JSON line when all servers listen")
    parser.add_argument("--die-with-parent", action="store_true", help="end when standard input ends")
    parser.add_argument("--control", metavar="HOST:PORT", help="switch faults of a running simulator: on, off, list")
    return parser


def _control_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway simulate",
        description="Switch faults of a running simulator.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--control", type=_address, metavar="HOST:PORT", required=True)
    parser.add_argument("command", choices=("on", "off", "list"))
    parser.add_argument("target", nargs="?", help="for example pump or filler/temperature; list FAULT shows all")
    parser.add_argument("fault", nargs="?", help="for example bearing_wear; list shows all")
    for option in ("severity", "ramp", "life", "delay", "code", "registers", "duration"):
        parser.add_argument(f"--{option}", help="option of the fault; see docs/simulators.md")
    return parser


def _control(arguments: argparse.Namespace) -> int:
    """Send a command to a running simulator and print its answer."""
    names = [arguments.command, *(word for word in (arguments.target, arguments.fault) if word)]
    options = [
        f"{name}={value}"
        for name, value in vars(arguments).items()
        if value is not None and name not in ("control", "command", "target", "fault")
    ]
    try:
        said = asyncio.run(
            control.ask(host_of(arguments.control), port_of(arguments.control), " ".join([*names, *options]))
        )
    except OSError as error:  # TimeoutError is one
        print(f"{arguments.control}: nobody answers ({error}); does the simulator run?", file=sys.stderr)
        return 1
    word, _, rest = said.partition(" ")
    print(rest, file=sys.stdout if word == "ok" else sys.stderr)
    return 0 if word == "ok" else 1


def _simulate(arguments: argparse.Namespace) -> int:
    """Run the plant and its servers until somebody ends them."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs what clients do wrong as its own errors
    try:
        file = load(arguments.plant)
        with contextlib.ExitStack() as stack:
            record = stack.enter_context(arguments.truth.open("a", encoding="utf-8")) if arguments.truth else None
            asyncio.run(_serve(file, arguments, record))
    except (PlantFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _serve(file: PlantFile, arguments: argparse.Namespace, record: TextIO | None) -> None:
    stop = asyncio.Event()
    if arguments.die_with_parent:
        stop_at_end_of_input(stop)
    plant = Plant(file, arguments.seed)
    accelerate = arguments.accelerate or file.accelerate
    floor = ShopFloor(plant, file.servers, accelerate=accelerate, free_ports=arguments.free_ports)
    with stop_on_signal(stop):
        async with floor, asyncio.TaskGroup() as group:
            living = group.create_task(floor.live(record), name="shop floor")
            if arguments.json:
                print(json.dumps({"ready": True, "servers": floor.addresses, "control": floor.control}), flush=True)
            else:
                print(summary(file, floor.addresses, floor.control, accelerate), flush=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(arguments.duration):
                    await stop.wait()
            living.cancel()


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
    return value


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, like 127.0.0.1:4841")
    return text


if __name__ == "__main__":
    sys.exit(main())
