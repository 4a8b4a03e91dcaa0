"""`gateway backtest`: what the signals of a configuration would have raised, had they run in the past."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from api.times import time_ns
from gateway import ratings
from gateway.backtest import figures, page, truth
from gateway.backtest.judge import Span, Truth
from gateway.backtest.trial import Backtest, Period, planned, tried
from gateway.cli import _process
from gateway.cli.backup import history_url
from gateway.config import Config
from gateway.historian.history import History
from gateway.historian.schema import reading
from gateway.model.duration import seconds
from gateway.ratings import Advice

HELP = "replay history through the signals of a configuration, beside those of another one, and judge what they raise"
EXAMPLES = """  gateway backtest plant.yaml --from 30d
  gateway backtest plant.yaml --from 30d --truth faults.csv --config other.yaml --html report.html

faults.csv has the columns asset (below the site), from (when it began), to (the failure or the repair; nothing if it is
still to come) and cause (the name of a fault of the advice, or a tag; or nothing)."""

_WARM_UP: Final = "1d"
_POINTS: Final = 400


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plant", type=Path, help="the configuration of the gateway that has the history, YAML")
    parser.add_argument("--from", dest="start", required=True, metavar="TIME", help="RFC 3339, or 30d: so long ago")
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="RFC 3339, 1d or now; not included")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a configuration to try beside that of the plant")
    parser.add_argument("--truth", type=Path, metavar="CSV", help="what was wrong, and when; else what people rated")
    parser.add_argument("--before", default="0s", metavar="1d", help="so long before a fault a finding is about it")
    parser.add_argument("--warm-up", default=_WARM_UP, metavar="1d", help="so long before it signals begin to learn")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures as well")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    now_ns = time.time_ns()
    try:
        period = _period(args, now_ns)
    except ValueError as error:
        print(f"gateway backtest: {error}", file=sys.stderr)
        return 2
    config, document = _process.read_config(args.plant)
    plans = {str(args.plant): planned(config, document)}
    if args.config is not None:
        plans[f"{args.config} (instead)"] = planned(*_process.read_config(args.config))
    tags = [plan.catalog[number] for plan in plans.values() for number in plan.catalog]
    try:
        known = (
            Truth(truth.read(args.truth, config.site.path, tags, now_ns), None)
            if args.truth
            else truth.rated(_rated(config, period), tags)
        )
    except truth.WrongTruth as error:
        print(*error.findings, sep="\n", file=sys.stderr)
        return 1
    history = History(reading(history_url(config)))
    try:
        trials = [tried(title, plan, history, known, period) for title, plan in plans.items()]
        result = Backtest(config.site.path, period, known, trials)
        if args.html is not None:
            pictures = page.page(result, lambda tag, start, end: history.picture(tag, start, end, "minmax", _POINTS))
            args.html.write_text(pictures, encoding="utf-8")
    except SQLAlchemyError as error:
        raise OSError(f"history cannot be read: {getattr(error, 'orig', None) or error}") from error
    finally:
        history.close()
    print(json.dumps(figures.as_json(result)) if args.json else figures.as_text(result))
    return 0


def _period(args: argparse.Namespace, now_ns: int) -> Period:
    """What is judged, and what is seen before it. Raises ValueError."""
    span = Span(_moment(args.start, now_ns), min(_moment(args.end, now_ns), now_ns))
    if span.start_ns >= span.end_ns:
        raise ValueError(f"--from {args.start} is not before --to {args.end}, or not in the past: nothing is between")
    warm_up, before = (round(seconds(text) * 1e9) for text in (args.warm_up, args.before))
    return Period(span, span.start_ns - warm_up, before)


def _rated(config: Config, period: Period) -> Sequence[Advice]:
    """The advice that people may have rated, in the period and as long before as signals see."""
    path = Path(config.data_dir) / "ratings.db"
    return ratings.read(path, period.warm_ns, period.span.end_ns) if path.exists() else ()


def _moment(text: str, now_ns: int) -> int:
    """A point in time; `30d` is so long ago, for what begins with a minus is an option. Raises ValueError."""
    ago = text[:1].isdigit() and text[-1:].islower()
    return time_ns(f"-{text}" if ago else text, now_ns)
