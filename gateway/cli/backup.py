"""`gateway backup`: history copied while it is written, and checked."""

import argparse
import sys
from pathlib import Path

from gateway.cli import _process
from gateway.config import Config
from gateway.historian.backup import backup, findings
from gateway.historian.schema import engine

HELP = "copy the history of a gateway, which may be running, and check the copy; or check one"
EXAMPLES = """  gateway backup plant.yaml /backup/history-2026-01-05.db
  gateway backup --check /backup/history-2026-01-05.db"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, nargs="?", help="the configuration of the gateway, YAML")
    parser.add_argument("file", type=Path, help="where the copy goes, or what to check")
    parser.add_argument("--check", action="store_true", help="make no copy, read all of a file and say what is damaged")


def run(args: argparse.Namespace) -> int:
    if not args.check:
        if args.config is None:
            print("gateway backup: name the configuration and a file, or --check and a file", file=sys.stderr)
            return 2
        config, _ = _process.read_config(args.config)
        backup(history_file(config), args.file)
    return told(args.file)


def told(file: Path) -> int:
    """Read all of a copy and print what is damaged, or that it is whole; return the exit code."""
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    opened = engine(f"sqlite:///{file}")
    try:
        found = list(findings(opened))
    finally:
        opened.dispose()
    for finding in found:
        print(f"{file}: {finding}", file=sys.stderr)
    if not found:
        print(f"{file}: whole, {file.stat().st_size:,} bytes")
    return 1 if found else 0


def history_url(config: Config) -> str:
    """The URL of the history that a gateway has. Raises OSError if it keeps none, or has none yet."""
    if config.history_url == "none":
        raise OSError("this gateway keeps no history: historian: none")
    if config.history_url.startswith("sqlite:///") and not history_file(config).exists():
        raise OSError(f"{history_file(config)} does not exist: has this gateway run, and from this folder?")
    return config.history_url


def history_file(config: Config) -> Path:
    """The file that has the history of a gateway. Raises OSError if it is elsewhere."""
    url = config.history_url
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///"))
    raise OSError("history is not in SQLite: use the tools of its database, such as pg_dump --format=custom")
