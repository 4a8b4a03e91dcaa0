"""`gateway score`: public benchmarks."""

import argparse
import csv
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gateway.score

HELP = "run the maintenance signals over the files of a public benchmark, for its scorer"
EXAMPLES = """  gateway score skab SKAB/data --out skab.csv
  gateway score nab NAB --out nab.csv
  gateway score tep tennessee-eastman --out tep.csv
  gateway score cmapss CMAPSS --out rul.csv
  gateway score ai4i AI4I --out ai4i.csv"""


def arguments(parser: argparse.ArgumentParser) -> None:
    names = sorted(module.name for module in pkgutil.iter_modules(gateway.score.__path__))
    parser.add_argument("benchmark", choices=names)
    parser.add_argument("folder", type=Path, help="where its files are")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="CSV",
        help="file for what was found, row by row; one per set, if there are several: out_FD001.csv",
    )


def run(args: argparse.Namespace) -> int:
    benchmark = importlib.import_module(f"{gateway.score.__name__}.{args.benchmark}")
    if not args.folder.is_dir():
        raise FileNotFoundError(f"{args.folder} is no folder")
    parts: dict[str, list[Sequence[Any]]] = {}
    for part, row in benchmark.predictions(args.folder):
        parts.setdefault(part, []).append(row)
    if not parts:
        print(
            f"{args.folder} has no files of {args.benchmark}: give the folder that its own data is in", file=sys.stderr
        )
        return 1
    for part, rows in parts.items():
        out = args.out if not part or len(parts) == 1 else args.out.with_stem(f"{args.out.stem}_{part}")
        with out.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([benchmark.COLUMNS, *rows])
        print(f"{out}: {len(rows):,} rows")
        for line in getattr(benchmark, "told", _nothing)(rows):
            print(line)
    return 0


def _nothing(rows: Sequence[Sequence[Any]]) -> Sequence[str]:
    """What a benchmark says of its rows that has nothing to say."""
    return ()
