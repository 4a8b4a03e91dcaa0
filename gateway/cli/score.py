"""`gateway score`: public benchmarks."""

import argparse
import csv
import importlib
import pkgutil
import sys
from pathlib import Path

import gateway.score

HELP = "run the maintenance signals over the files of a public benchmark, for its scorer"
EXAMPLES = """  gateway score skab SKAB/data --out skab.csv
  gateway score tep tennessee-eastman --out tep.csv"""


def arguments(parser: argparse.ArgumentParser) -> None:
    names = sorted(module.name for module in pkgutil.iter_modules(gateway.score.__path__))
    parser.add_argument("benchmark", choices=names)
    parser.add_argument("folder", type=Path, help="where its files are")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="file for what was found, row by row")


def run(args: argparse.Namespace) -> int:
    benchmark = importlib.import_module(f"{gateway.score.__name__}.{args.benchmark}")
    if not args.folder.is_dir():
        raise FileNotFoundError(f"{args.folder} is no folder")
    n = 0
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(benchmark.COLUMNS)
        for row in benchmark.predictions(args.folder):
            writer.writerow(row)
            n += 1
    if not n:
        print(
            f"{args.folder} has no files of {args.benchmark}: give the folder that its own data is in", file=sys.stderr
        )
        return 1
    print(f"{args.out}: {n:,} rows")
    return 0
