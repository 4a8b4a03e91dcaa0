"""`gateway selftest`: break everything, and count what that has cost."""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from gateway.clock import loop_factory
from gateway.selftest.tally import percentile
from gateway.selftest.trial import Result, trial

HELP = "break devices, broker and the gateway itself again and again, and count what is lost"
EXAMPLES = """  gateway selftest                       # about a minute
  gateway selftest --kills 100           # about ten
  gateway selftest --kills 100 --seed 7 --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=8, metavar="N", help="how often the gateway is killed (SIGKILL)")
    parser.add_argument("--seed", type=int, metavar="S", help="the same faults again; at random if absent")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep journal, history and log there")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    seed = random.randrange(1 << 31) if args.seed is None else args.seed
    with tempfile.TemporaryDirectory(prefix="gateway-selftest-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            result = runner.run(trial(args.kills, seed, folder, lambda line: print(line, file=sys.stderr, flush=True)))
    print(json.dumps(_facts(result)) if args.json else _table(result))
    return 0 if result.passed else 1


def _facts(result: Result) -> dict[str, Any]:
    every = [seconds for times in result.recovery_s.values() for seconds in times]
    return {
        "seed": result.seed,
        "kills": result.kills,
        "passed": result.passed,
        "produced": sum(verdict.produced for verdict in result.verdicts),
        "lost": result.lost,
        "duplicated": result.duplicated,
        "reordered": result.reordered,
        "wrong": result.wrong,
        "ledger_unexplained": result.unexplained,
        "ledger_off": result.ledger_off,
        "repeated": sum(told.repeated for told in result.told),
        "unread": sum(verdict.unread for verdict in result.verdicts),
        "unread_ms_max": round(1000 * max((verdict.unread_s for verdict in result.verdicts), default=0.0), 1),
        "journal_full": result.blocks,
        "recovery_s": {"p50": percentile(every, 0.5), "max": max(every, default=0.0)},
        "recovery_s_by_fault": {
            fault: {"n": len(times), "p50": percentile(times, 0.5), "max": max(times)}
            for fault, times in result.recovery_s.items()
        },
    }


def _table(result: Result) -> str:
    facts = _facts(result)
    lines = [
        "",
        f"lost                {facts['lost']:>8}   of {facts['produced']} answers, each on the bus and in history",
        f"duplicated          {facts['duplicated']:>8}",
        f"reordered           {facts['reordered']:>8}",
        f"wrong               {facts['wrong']:>8}   values that do not belong together",
        f"unexplained         {facts['ledger_unexplained']:>8}   readings missing in the ledger without a cause",
        f"ledger off          {facts['ledger_off']:>8}   readings that the ledger has more or less than history",
        f"repeated            {facts['repeated']:>8}   told by (boot, seq), as consumers are asked to",
        f"unread              {facts['unread']:>8}   answers on their way when their reader was killed or cut off,"
        f" {facts['unread_ms_max']:.0f} ms before at most",
        "",
        "recovery [s]             n     p50     max",
    ]
    for fault, times in facts["recovery_s_by_fault"].items():
        lines.append(f"{fault:20}{times['n']:>6}{times['p50']:>8.2f}{times['max']:>8.2f}")
    lines += ["", f"{'passed' if result.passed else 'FAILED'}; the same again: --seed {result.seed}"]
    return "\n".join(lines)
