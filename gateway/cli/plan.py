"""`gateway plan`: what a configuration would change of the one that runs, and which connections that touches."""

import argparse
import json
from pathlib import Path

from gateway.cli import _process
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.config.change import diff
from gateway.config.versions import Versions
from gateway.model import Catalog
from gateway.plan import plan
from gateway.plugins import Protocols, signal_kinds

HELP = "say what a configuration would change, and which connections it touches; nothing is changed"
EXAMPLES = """  gateway plan plant.yaml                # against the version that runs, or ran last
  gateway plan plant.yaml --against old.yaml
  gateway plan plant.yaml --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="the configuration, YAML")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with this file")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    config, document = _process.read_config(args.config)
    plan(config, document, Catalog(), Protocols(), signal_kinds(), SystemClock())
    change = diff(_running(config) if args.against is None else _process.read_config(args.against)[0], config)
    print(json.dumps(change.described()) if args.json else "\n".join(change.lines()))
    return 0


def _running(config: Config) -> Config:
    """The newest version in the data directory; if it has never run, the same without devices and signals."""
    folder = Path(config.data_dir) / "config"
    number = Versions(folder).newest() if folder.is_dir() else 0
    if not number:
        return config.model_copy(update={"devices": {}, "signals": {}})
    return _process.check_text(Versions(folder).text(number), f"version {number}")[0]
