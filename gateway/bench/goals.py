"""What the product promises to cost, beside what was measured.

Other work on the machine moves times in ms most, CPU less, ratios of one run least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.bench.api import Answered
from gateway.bench.history import Results
from gateway.bench.measured import Measured
from gateway.bench.pipeline import Arrived
from gateway.bench.sparkplug import Encoded


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and its bound; `least` says that it must not be below, else it must not be above."""

    name: str
    figure: float
    bound: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.figure >= self.bound if self.least else self.figure <= self.bound


def of_bus(rows: Sequence[Measured]) -> list[Goal]:
    """Return the goals of messages; the rows are those of bench/bus.py, by name."""
    cpu = {row.name: row.cpu_per_million for row in rows}
    goals = [Goal("1,000 readings encoded, CPU s per million", cpu["batches of 1,000 values, encoded"], 0.06)]
    if paho := cpu.get("per tag, paho"):
        goals.append(Goal("per tag, times less CPU than paho", paho / cpu["per tag, published"], 20, least=True))
    return goals


def of_sparkplug(rows: Sequence[Encoded]) -> list[Goal]:
    """Return the goal of Sparkplug, which is for the kind of value that costs most."""
    return [Goal("Sparkplug by templates, CPU s per million", max(row.cpu for row in rows), 0.1)]


def of_stages(rows: Sequence[Measured]) -> list[Goal]:
    """Return the goal of the whole pipeline; the rows are those of bench/stages.py, each with a stage more."""
    return [Goal("all stages, times acquisition alone", rows[-1].cpu_per_million / rows[0].cpu_per_million, 4)]


def of_pipeline(paced: Arrived) -> list[Goal]:
    """Return the goals of the way to a subscriber, at a pace that is not as fast as it can."""
    return [
        Goal("decoded to subscriber, p50 ms", paced.decoded_p50_ms, 1),
        Goal("decoded to subscriber, p99 ms", paced.decoded_p99_ms, 10),
    ]


def of_history(results: Results) -> list[Goal]:
    """Return the goals of history: beside rows on the same readings, those of DuckDB where it is installed."""
    both = results.stored[-1]
    cpu = {name: stored.measured.cpu_per_million for name, stored in results.compared.items()}
    day, hours = results.asked
    found = [
        Goal("readings per second, stored and compacted", both.measured.rate, 1e6, least=True),
        Goal("bytes per reading", both.bytes_per_reading or 0.0, 2),
        Goal("times less CPU than rows of sqlite3", cpu["sqlite3"] / cpu["history"], 40, least=True),
        Goal("one day, times faster than rows", day.peers_ms["sqlite3"] / day.history_ms, 20, least=True),
        Goal("append beside questions, times p99 alone", results.beside.asked_ms / results.beside.alone_ms, 2),
    ]
    if "DuckDB" in day.peers_ms:
        found += [
            Goal("one day, times faster than DuckDB", day.peers_ms["DuckDB"] / day.history_ms, 2, least=True),
            Goal("hourly means, times faster than DuckDB", hours.peers_ms["DuckDB"] / hours.history_ms, 10, least=True),
        ]
    if results.arrow is not None:
        found.append(Goal("points per second as Arrow", results.arrow.rate, 1e7, least=True))
    return found


def of_api(rows: Sequence[Answered]) -> list[Goal]:
    """Return the goals of answers and streams; the rows are those of bench/api.py, in their order."""
    bare, fast, long, one, streams, live, stored, live_beside, stored_beside = rows
    return [
        Goal("100 values, fast route, times bare ASGI", fast.cpu_us / bare.cpu_us, 1.5),
        Goal("100 values, through FastAPI, times bare ASGI", long.cpu_us / bare.cpu_us, 4.5),
        Goal("one value, p50 ms", one.p50_ms, 0.5),
        Goal("100 streams, CPU us per event and stream", streams.cpu_us, 40),
        Goal("live beside heavy queries, p99, times without", live_beside.p99_ms / live.p99_ms, 2),
        Goal("stored beside heavy queries, p99, times without", stored_beside.p99_ms / stored.p99_ms, 2),
    ]


def table(goals: Sequence[Goal]) -> list[str]:
    """Return the goals as lines of text."""
    if not goals:
        return []
    lines = ["", f"{'goals':46}{'measured':>10}{'goal':>14}"]
    for goal in goals:
        bound = f"{'at least' if goal.least else 'at most'} {goal.bound:g}"
        lines.append(f"{goal.name:46}{goal.figure:>10.3g}{bound:>14}  {'met' if goal.met else 'MISSED'}")
    return lines
