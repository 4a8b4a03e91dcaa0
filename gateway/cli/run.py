"""`gateway run`: run a configuration."""

import argparse
from pathlib import Path

from gateway.app import Ready
from gateway.cli import _process

HELP = "run a configuration until it is stopped"
EXAMPLES = """  gateway run plant.yaml
  gateway run plant.yaml --json          # one line of JSON when ready, for scripts
  gateway run plant.yaml --watch         # and take over what is edited in the file; kill -HUP does so once
  MQTT_PASSWORD=... gateway run plant.yaml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the configuration, YAML")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    parser.add_argument("--watch", action="store_true", help="take over what is edited in the file, as SIGHUP does")
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready")


def run(args: argparse.Namespace) -> int:
    gateway = _process.build(args.config, watch=args.watch)

    def tell(ready: Ready) -> None:
        text = f"gateway {gateway.name} is up: {ready.devices} devices, {ready.tags} tags; {ready.api}  {ready.mqtt}"
        print(_process.ready_line(ready) if args.json else text, flush=True)

    _process.run(gateway, duration_s=args.duration, ready=tell)
    return 0
