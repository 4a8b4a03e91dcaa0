"""A row of the ledger: one device, one minute. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from gateway.payload import timestamps

MINUTE_NS: Final = 60_000_000_000
_CAUSES_MAX: Final = 16
_OTHERS: Final = "others"
"""A row has room for so many causes; what comes after them is added up under this one."""

Poll = tuple[float, int]
"""How often a device is asked, in seconds, and how many readings that should bring."""


@dataclass(slots=True)
class Gap:
    """Readings that are missing for one cause: how many, for how long, how often, and where it was seen first."""

    readings: int = 0
    seconds: float = 0.0
    times: int = 0
    where: str = ""

    def add(self, other: "Gap") -> None:
        self.readings += other.readings
        self.seconds += other.seconds
        self.times += other.times
        self.where = self.where or other.where


@dataclass(slots=True)
class GivenUp:
    """What a sink had and gave up for one cause: how much, and of which time, [begin, end)."""

    count: int
    begin_ns: int
    end_ns: int

    def add(self, other: "GivenUp") -> None:
        self.count += other.count
        self.begin_ns = min(self.begin_ns, other.begin_ns)
        self.end_ns = max(self.end_ns, other.end_ns)


@dataclass(slots=True)
class Delivery:
    """How a sink fared with the readings of a row.

    `delivered` it has confirmed, `dropped` were forgotten before it had them; `late_s` is the longest that one took
    from its arrival. `down` is why the sink was away during this minute. `given_up`, by cause, is what it gave up
    in this minute, of whatever minute that was.
    """

    delivered: int = 0
    dropped: int = 0
    late_s: float = 0.0
    down: str = ""
    given_up: dict[str, GivenUp] = field(default_factory=dict)

    def give_up(self, cause: str, what: GivenUp) -> None:
        """Add to what was given up for a cause; causes are few words that are the same every time."""
        if cause in self.given_up:
            self.given_up[cause].add(what)
        else:
            self.given_up[cause] = replace(what)

    def add(self, other: "Delivery") -> None:
        self.delivered += other.delivered
        self.dropped += other.dropped
        self.late_s = max(self.late_s, other.late_s)
        self.down = self.down or other.down
        for cause, what in other.given_up.items():
            self.give_up(cause, what)


@dataclass(slots=True)
class Row:
    """Readings of one device in one minute; rows add up.

    `expected` is None if nobody can know: a subscription tells what changed. `good` and `bad` came and are durable;
    uncertain readings, and what the gateway says of a lost device, are among the bad. `recovered` came as well, late,
    from the device's own history, and was due in some other minute.
    """

    expected: int | None = None
    good: int = 0
    bad: int = 0
    recovered: int = 0
    sinks: dict[str, Delivery] = field(default_factory=dict)
    gaps: dict[str, Gap] = field(default_factory=dict)

    def expect(self, readings: int) -> None:
        self.expected = (self.expected or 0) + readings

    def gap(self, cause: str, gap: Gap) -> None:
        """Add to the gap of a cause."""
        if cause not in self.gaps and len(self.gaps) >= _CAUSES_MAX:
            cause = _OTHERS
        self.gaps.setdefault(cause, Gap()).add(gap)

    def at(self, sink: str) -> Delivery:
        return self.sinks.setdefault(sink, Delivery())

    def add(self, other: "Row") -> None:
        if other.expected is not None:
            self.expect(other.expected)
        self.good += other.good
        self.bad += other.bad
        self.recovered += other.recovered
        for sink, delivery in other.sinks.items():
            self.at(sink).add(delivery)
        for cause, gap in other.gaps.items():
            self.gap(cause, gap)

    @property
    def numbers(self) -> tuple[int | None, int, int, int]:
        return self.expected, self.good, self.bad, self.recovered

    @property
    def came(self) -> int:
        return self.good + self.bad + self.recovered

    @property
    def unexplained(self) -> int:
        """How many readings are missing without a cause."""
        return max(0, (self.expected or 0) - self.good - sum(gap.readings for gap in self.gaps.values()))

    def described(self) -> dict[str, Any]:
        """Return what a row says, in what JSON can carry."""
        known = self.expected is not None
        return {
            "expected": self.expected,
            "good": self.good,
            "bad": self.bad,
            "recovered": self.recovered,
            "unexplained": self.unexplained if known else None,
            "sinks": {
                name: _facts(asdict(sink) | {"given_up": _ranges(sink.given_up)})
                | {"waiting": max(0, self.came - sink.delivered - sink.dropped)}
                for name, sink in self.sinks.items()
            },
            "gaps": [
                {"cause": cause, "readings": gap.readings if known or gap.readings else None}
                | _facts({"seconds": round(gap.seconds, 3), "times": gap.times, "where": gap.where})
                for cause, gap in self.gaps.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Pause:
    """A time [begin, end) in which there was no gateway, and what its devices would have been asked for."""

    begin_ns: int
    end_ns: int
    cause: str
    polls: Mapping[str, Sequence[Poll]]

    def row(self, minute_ns: int, device: str) -> Row:
        """Return what it means for a device in one minute that it touches.

        The polls that fall into it are counted from its beginning, so the minutes add up to whole polls.
        """
        start = max(self.begin_ns, minute_ns) - self.begin_ns
        end = min(self.end_ns, minute_ns + MINUTE_NS) - self.begin_ns
        polls = self.polls[device]
        missed = sum(n * (int(end / 1e9 / period) - int(start / 1e9 / period)) for period, n in polls)
        row = Row(expected=missed if polls else None)
        row.gap(self.cause, Gap(missed, (end - start) / 1e9, int(start == 0)))
        return row


def restored(numbers: Sequence[Any], sinks: Mapping[str, Any], gaps: Mapping[str, Any]) -> Row:
    """Return a row from what was stored of it."""
    expected, good, bad, recovered = numbers
    deliveries = {name: _delivery(**facts) for name, facts in sinks.items()}
    return Row(expected, good, bad, recovered, deliveries, {cause: Gap(**facts) for cause, facts in gaps.items()})


def minute_of(time_ns: int) -> int:
    """Return when the minute of a time began."""
    return time_ns - time_ns % MINUTE_NS


def _delivery(given_up: Mapping[str, Any] = MappingProxyType({}), **facts: Any) -> Delivery:
    return Delivery(**facts, given_up={cause: GivenUp(**what) for cause, what in given_up.items()})


def _ranges(given_up: Mapping[str, GivenUp]) -> list[dict[str, Any]]:
    times = timestamps(np.array([(what.begin_ns, what.end_ns) for what in given_up.values()], np.int64).reshape(-1))
    return [
        {"cause": cause, "count": what.count, "from": begin, "to": end}
        for (cause, what), begin, end in zip(given_up.items(), times[::2], times[1::2], strict=True)
    ]


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value or key == "delivered"}
