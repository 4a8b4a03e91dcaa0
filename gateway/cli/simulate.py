"""`gateway simulate`: the shop floor, for those who have none at hand."""

import argparse

from simulators.__main__ import main as simulate

FORWARDS = True
HELP = "run a simulated plant: OPC UA and Modbus servers with machines behind them"
EXAMPLES = """  gateway simulate config/plants/bottling.yaml
  gateway simulate config/plants/bottling.yaml --accelerate 60 --truth truth.jsonl
  gateway simulate --control 127.0.0.1:4841 on pump bearing_wear"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs="*")


def run(args: argparse.Namespace) -> int:
    return simulate(args.arguments)
