"""`gateway redecode`: what devices answered in the past, decoded by a configuration that is right."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.cli import _process
from gateway.cli.backup import history_url
from gateway.clock import SystemClock
from gateway.contracts import Device, Redecode
from gateway.historian.chunk import Readings
from gateway.historian.history import History
from gateway.historian.order import between, once
from gateway.historian.repair import Repaired, differing, note, repair
from gateway.historian.schema import engine
from gateway.historian.words import kept
from gateway.model import Batch, Catalog, Tag
from gateway.model.batch import join_kinds
from gateway.plan import devices
from gateway.plugins import Protocols

HELP = "decode again what devices answered in the past (words: true), and repair history"
EXAMPLES = """  gateway redecode --config plant.yaml --dry-run          # what would change
  gateway redecode --config plant.yaml --tags '*/press/*' --from 2026-01-05T06:00:00Z --to 2026-01-06T06:00:00Z"""
_READINGS: Final = 2_000_000
"""Readings that are decoded before they are compared and written."""
_FOREVER: Final = 2**62


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the configuration that is right, YAML")
    parser.add_argument(
        "--from", dest="start", type=_time, default=-_FOREVER, metavar="TIME", help="RFC 3339; included"
    )
    parser.add_argument("--to", dest="end", type=_time, default=_FOREVER, metavar="TIME", help="RFC 3339; not included")
    parser.add_argument("--tags", default="*", metavar="GLOB", help="only tags whose path is like this")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each tag")


def run(args: argparse.Namespace) -> int:
    config, document = _process.read_config(args.config)
    protocols = Protocols()
    found = devices(config, document, Catalog(), protocols)
    history = History(engine(history_url(config)))
    try:
        told = [_told(args, history, device, protocols[urlsplit(device.url).scheme]) for device in found]
    finally:
        history.close()
    if not any(told):
        print(
            "gateway redecode: nothing is kept of what these tags' devices answered: write words: true", file=sys.stderr
        )
        return 1
    return 0


def _told(args: argparse.Namespace, history: History, device: Device, protocol: Any) -> bool:
    """Repair the tags of a device and print what that came to; whether there was something to decode."""
    rows = [row for row, tag in enumerate(device.tags) if fnmatchcase(tag.path, args.tags)]
    if not rows or not hasattr(protocol, "redecode"):
        return False
    total: dict[str, tuple[int, Repaired]] = {}
    for tag, found in _decoded(args, history, device, rows, protocol.redecode):
        wrong, what = differing(history, tag.path, found)
        if what.readings and not args.dry_run:
            repair(history, tag, wrong)
        n, before = total.get(tag.path, (0, Repaired(0)))
        first = before if before.readings else what
        total[tag.path] = n + len(found), dataclasses.replace(first, readings=before.readings + what.readings)
    changed = sum(what.readings for _, what in total.values())
    if changed and not args.dry_run:
        note(history, device.name, _recipe(device, rows), (args.start, args.end), changed, SystemClock().now_ns())
    for path, (n, what) in total.items():
        print(_line(args, path, n, what))
    return bool(total)


def _decoded(
    args: argparse.Namespace, history: History, device: Device, rows: Sequence[int], redecode: Redecode
) -> Iterator[tuple[Tag, Readings]]:
    """What the kept answers of a device come to, tag by tag, so many readings at a time."""
    waiting: list[Batch] = []
    n = 0
    for words in kept(history.engine, device.name, args.start, args.end):
        for batch in redecode(device, words, rows):
            waiting.append(batch.where((batch.time >= args.start) & (batch.time < args.end)))
            n += len(batch)
        if n >= _READINGS:
            yield from _by_tag(device, waiting)
            waiting, n = [], 0
    yield from _by_tag(device, waiting)


def _by_tag(device: Device, waiting: Sequence[Batch]) -> Iterator[tuple[Tag, Readings]]:
    tags = dict(zip(device.numbers.tolist(), device.tags, strict=True))
    for joined in join_kinds(batch for batch in waiting if len(batch)):
        every, _ = once(joined)
        for number in sorted(set(every.tag.tolist())):
            own = between(every, number, number)
            yield tags[number], Readings(own.time, own.value, own.quality)


def _line(args: argparse.Namespace, path: str, n: int, what: Repaired) -> str:
    if args.json:
        first = {"time_ns": what.time_ns, "old": what.old, "new": what.new}
        return json.dumps(
            {"tag": path, "decoded": n, "changed": what.readings, "first": first if what.readings else None}
        )
    if not what.readings:
        return f"{path}: {n:,} readings, all of them right"
    done = "would change" if args.dry_run else "changed"
    time = datetime.fromtimestamp(what.time_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    return f"{path}: {n:,} readings, {what.readings:,} {done}, first at {time}: {what.old!r} is {what.new!r}"


def _recipe(device: Device, rows: Sequence[int]) -> str:
    """How tags are decoded now, as text: what is said of them that is not the default."""
    tags = {device.tags[row].name: device.tag_options[row].model_dump(exclude_defaults=True) for row in rows}
    return json.dumps({"tags": tags}, default=str)


def _time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time with an offset."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text} has no offset: write {text}Z if it is UTC")
    return round(time.timestamp() * 1e6) * 1000
