"""`gateway audit`: whether the audit trail is whole, and what it says."""

import argparse
import sys
from pathlib import Path

from gateway.audit.file import segments
from gateway.audit.verify import verify
from gateway.cli import _process

HELP = "check that the audit trail is as it was written, or print it; the gateway may be running"
EXAMPLES = """  gateway audit verify plant.yaml
  gateway audit verify /backup/audit                 # a folder with a copy of it
  gateway audit verify plant.yaml --hash 3f1c...     # and has a record that was noted elsewhere, as in the log
  gateway audit print plant.yaml | tail"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("verify", "print"), help="check it, or print its lines, oldest first")
    parser.add_argument("trail", type=Path, help="the configuration of the gateway, YAML, or the folder of the trail")
    parser.add_argument("--hash", default="", help="of a record, noted elsewhere, that has to be there")


def run(args: argparse.Namespace) -> int:
    folder = args.trail if args.trail.is_dir() else Path(_process.read_config(args.trail)[0].data_dir) / "audit"
    if not segments(folder):
        raise FileNotFoundError(f"{folder} has no audit trail")
    return _verify(folder, args.hash.lower()) if args.what == "verify" else _print(folder)


def _verify(folder: Path, known: str) -> int:
    verdict = verify(folder, known)
    for text in (*verdict.wrong, *verdict.remarks):
        print(f"{folder}: {text}", file=sys.stderr)
    if verdict.wrong:
        return 1
    print(f"{folder}: whole, {verdict.records} records, the last is {verdict.n} with hash {verdict.hash}")
    return 0


def _print(folder: Path) -> int:
    for path in segments(folder):
        with path.open("rb") as file:
            for text in file:
                print(text.decode(errors="replace").rstrip("\n"))
    return 0
