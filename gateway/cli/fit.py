"""`gateway fit`: what machines that ran until they failed teach about the others of their kind."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.times import time_ns
from gateway.cli import _process
from gateway.cli.backup import history_url
from gateway.historian.history import History
from gateway.historian.order import batch_of, numbers
from gateway.historian.schema import reading
from gateway.model import Catalog, Tag
from gateway.model.duration import seconds
from gateway.score import cmapss
from gateway.signals._asset import AssetOptions, AssetRows
from gateway.signals._prognosis.file import packed
from gateway.signals._prognosis.fleet import Settings
from gateway.signals._prognosis.model import FleetModel

HELP = "learn from runs to failure how long machines last, for signals of type life_fleet"
EXAMPLES = """  gateway fit pumps.csv --run pump --settings speed,load --period 1h --out pumps.npz
  gateway fit CMAPSS/train_FD001.txt --period 1h --out engines.npz
  gateway fit plant.yaml --runs failures.csv --tags flow,power --when 'speed > 0' --period 1h --out pumps.npz

A table has a row per period and a column per tag, rows of a machine in order, the last one before its failure; --run
names the column that tells the machines apart. A folder is all tables in it. A text file has the columns of NASA's
C-MAPSS. failures.csv has the columns asset (below the site), from (when it was new) and to (the failure), RFC 3339."""

Matrix = NDArray[np.float64]

_DAY_NS: Final = 86_400_000_000_000
"""So much of history is in memory at a time."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a table, a folder of them, or a configuration with history")
    parser.add_argument("--runs", type=Path, metavar="CSV", help="which stretches of history were runs to failure")
    parser.add_argument(
        "--run", dest="machine", default="run", metavar="COLUMN", help="column of a table that tells machines apart"
    )
    parser.add_argument("--tags", default="", help="names of the tags to learn from; of a table by default all others")
    parser.add_argument("--settings", default="", help="names of the tags that say how the machine is run")
    parser.add_argument("--when", default="", help="formula of tags: only while it is true a row of history counts")
    parser.add_argument("--period", required=True, type=_period, help="how long a row is, such as 1h")
    parser.add_argument("--cap", type=float, default=125.0, metavar="ROWS", help="longest life that is told")
    parser.add_argument("--without-age", action="store_true", help="for machines whose age nobody knows")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file of the model")
    parser.add_argument("--json", action="store_true", help="print the evidence as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        settings, tags, runs = _read(args)
        twice = sorted({name for name in settings if name in tags} | {name for name in tags if tags.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: named twice; a tag is a setting or not, once")
        how = Settings(cap=args.cap, aged=not args.without_age)
        model = FleetModel.learn(runs, settings, tags, args.period, np.random.default_rng(0), how)
    except ValueError as error:
        print(f"gateway fit: {error}", file=sys.stderr)
        return 1
    source = f"{args.source} by {args.runs}" if args.runs else f"{args.source}"
    args.out.write_bytes(packed(replace(model, source=source)))
    print(json.dumps(model.evidence) if args.json else f"{args.out}: {_text(model)}")
    return 0


def _period(text: str) -> float:
    try:
        found = seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found <= 0:
        raise argparse.ArgumentTypeError(f"{text} is no length of time: write 1h, 10min or 30s")
    return found


def _text(model: FleetModel) -> str:
    found, cap = model.evidence, model.fleet.cap
    text = (
        f"{found['runs']} runs, {found['rows']:,} rows, {len(model.tags)} tags, {len(model.fleet.regimes)} regimes\n"
        f"machines that were left out, lives up to {cap:g} rows: off by {found['rmse']:.3g} rows (rms; always the mean:"
        f" {found['rmse_of_the_mean']:.3g}), the 90 % interval holds {100 * found['coverage']:.0f} % and is"
        f" {found['width']:.3g} rows wide\n"
        f"a signal would have told in {100 * found['told']:.0f} % of the rows"
    )
    if not found["told"]:
        return f"{text}: of these machines nothing honest can be said"
    return (
        f"{text}: off by {found['told_rmse']:.3g} rows, the interval holds {100 * found['told_coverage']:.0f} % and is"
        f" {found['told_width']:.3g} rows wide"
    )


def _read(args: argparse.Namespace) -> tuple[list[str], list[str], list[Matrix]]:
    """The names of settings and tags, and the runs: settings first."""
    settings, tags = _names(args.settings), _names(args.tags)
    if args.runs is not None:
        if not tags:
            raise ValueError("--tags is needed with --runs: name the tags to learn from")
        return settings, tags, list(_from_history(args, [*settings, *tags]))
    paths = sorted(args.source.iterdir()) if args.source.is_dir() else [args.source]
    texts = [path for path in paths if path.name.startswith("train_") and ".txt" in path.suffixes]
    if texts:
        runs = [unit for path in texts for unit in cmapss.units(path).values()]
        return [*cmapss.SETTINGS], [*cmapss.TAGS], runs
    found: list[Matrix] = []
    for path in paths:
        if path.suffix == ".csv":
            tags, runs = _from_table(path, args.machine, settings, tags)
            found += runs
    if not found:
        raise ValueError(f"{args.source} has no runs to failure: give a table, or a configuration and --runs")
    return settings, tags, found


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _from_table(path: Path, machine: str, settings: list[str], tags: list[str]) -> tuple[list[str], list[Matrix]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    tags = tags or [name for name in columns if name not in (machine, *settings)]
    for name in (machine, *settings, *tags):
        if name not in columns:
            raise ValueError(f"{path} has no column {name}; it has {', '.join(columns) or 'no rows'}")
    machines: dict[str, list[list[float]]] = {}
    for line, row in enumerate(rows, 2):
        try:
            machines.setdefault(row[machine], []).append([float(row[name]) for name in (*settings, *tags)])
        except (TypeError, ValueError):
            raise ValueError(f"{path}:{line}: not all of it are numbers; leave such rows out") from None
    return tags, [_finite(np.array(found), str(path)) for found in machines.values()]


def _finite(rows: Matrix, where: str) -> Matrix:
    if not np.isfinite(rows).all():
        raise ValueError(f"{where}: not all of it are finite numbers; leave such rows out")
    return rows


def _from_history(args: argparse.Namespace, names: list[str]) -> Iterator[Matrix]:
    """Rows of each run as a signal would have them."""
    config, _ = _process.read_config(args.source)
    history = History(reading(history_url(config)))
    try:
        with args.runs.open(newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                try:
                    asset, start, end = row["asset"], time_ns(row["from"], 0), time_ns(row["to"], 0)
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(f"{args.runs}:{line}: {error}; its columns are asset, from, to") from None
                keys = {"asset": f"{config.site.path}/{asset}", "tags": names, "when": args.when}
                rows = AssetOptions(**keys, period=args.period, late=0.0)
                found = _rows(history, rows, start, end, len(names))
                if not len(found):
                    raise ValueError(f"{args.runs}:{line}: history has no rows of {asset} in which all tags are good")
                yield found
    finally:
        history.close()


def _rows(history: History, options: AssetOptions, start_ns: int, end_ns: int, columns: int) -> Matrix:
    catalog = Catalog([Tag(options.asset, name) for name in options.watched])
    rows = AssetRows(options, catalog)
    found = [np.empty((0, columns))]
    for begin in range(start_ns, end_ns, _DAY_NS):
        end = min(begin + _DAY_NS, end_ns)
        parts = [
            batch_of(number, part)
            for number in catalog
            for part in history.readings(catalog[number].path, begin, end)
            if part.value.dtype != object
        ]
        if parts:
            came = numbers(parts)
            came = came.take(np.argsort(came.time, kind="stable"))
            ticks = (row.judged[:columns] for row in rows.take(came))
            found += [row[None] for row in ticks if np.isfinite(row).all()]
    return np.vstack(found)
