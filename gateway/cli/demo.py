"""`gateway demo`: a living plant from nothing; simulators, broker, history, API and page on this machine."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.app import Gateway, Ready
from gateway.cli import _process
from gateway.config import Config
from gateway.plugins import shipped
from gateway.ports import free

HELP = "run a simulated bottling plant and a gateway on it"
EXAMPLES = """  gateway demo
  gateway demo --duration 30 --data /tmp/demo
  gateway demo --port 8090 --json"""

_START_S: Final = 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds, with a summary")
    parser.add_argument(
        "--port", type=int, default=8080, metavar="P", help="of API and page; a free one if it is taken"
    )
    parser.add_argument("--data", type=Path, default=Path("data/demo"), metavar="DIR", help="where to keep the data")
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready")


def run(args: argparse.Namespace) -> int:
    args.data.mkdir(parents=True, exist_ok=True)
    with _shop_floor(args.data / "truth.jsonl") as floor, ExitStack() as office:
        adapt = partial(_adapted, servers=floor["servers"], port=args.port, data=args.data)
        gateway = _process.build_once(shipped("demo.yaml"), adapt)

        def tell(ready: Ready) -> None:
            office.enter_context(_office(ready.api))
            print(_process.ready_line(ready) if args.json else _welcome(ready, floor), flush=True)

        _process.run(gateway, duration_s=args.duration, ready=tell)
    print(_summary(gateway), file=sys.stderr if args.json else sys.stdout)
    return 0


@contextmanager
def _shop_floor(truth: Path) -> Iterator[dict[str, Any]]:
    """Run the simulators as a process of their own; give what they say when they are ready.

    Raises OSError if they do not get that far. They end when their standard input does, so they never outlive us.
    """
    plant = shipped("plants", "bottling.yaml")
    options = ["--json", "--free-ports", "--die-with-parent", "--truth", str(truth)]
    command = [sys.executable, "-m", "simulators", str(plant), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulators:
        assert simulators.stdout is not None
        try:
            line = simulators.stdout.readline()
            if not line:
                raise OSError(f"the simulators ended with code {simulators.wait()}; try `gateway simulate {plant}`")
            yield json.loads(line)
        finally:
            simulators.terminate()


@contextmanager
def _office(api: str) -> Iterator[None]:
    """Run the office that orders what the filler makes, as a process of its own."""
    command = [sys.executable, "-m", "simulators.office", api, "filler"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as office:
        try:
            yield
        finally:
            office.terminate()


def _adapted(config: Config, servers: dict[str, str], port: int, data: Path) -> Config:
    """The demo's configuration with the ports that are free here."""
    devices = {}
    for name, keys in config.devices.items():
        address, query, unit = keys.connect.partition("?")
        devices[name] = keys.model_copy(update={"connect": servers.get(address, address) + query + unit})
    return config.model_copy(
        update={
            "devices": devices,
            "data_dir": str(data),
            "api": config.api.model_copy(update={"listen": f"127.0.0.1:{free(port)}"}),
            "bus": config.bus.model_copy(update={"listen": f"127.0.0.1:{free(1883)}"}),
        }
    )


def _welcome(ready: Ready, floor: dict[str, Any]) -> str:
    broker = ready.mqtt.rpartition(":")[2]
    return f"""
A bottling line is running: {ready.devices} devices, {ready.tags} tags.

  page      {ready.api}/
  REST      {ready.api}/docs
            curl {ready.api}/api/v1/values/packaging/line1/filler/temperature
  MQTT      {ready.mqtt}
            mosquitto_sub -p {broker} -v -t 'uns/#'
  break it  gateway simulate --control {floor["control"]} list
  stop      Ctrl-C
"""


def _summary(gateway: Gateway) -> str:
    lines = ["", "device            readings  connections  state at the end"]
    for name, (_, health) in gateway.devices.items():
        lines.append(f"{name:16}{health.readings:>10}{health.runs:>13}  {health.state}")
    journal = gateway.journal
    behind = {name: cursor.behind for name, cursor in journal.cursors.items()}
    lost = sum(journal.lost.values())
    lines += [
        "",
        f"{journal.appended} records in the journal, {lost} lost; {gateway.publisher.messages} messages published",
        f"not yet confirmed: {', '.join(f'{name} {n}' for name, n in behind.items())}",
    ]
    return "\n".join(lines)
