"""The record of the truth: what was wrong, where and since when, as JSON lines for tests and back-tests.

It goes to a file only. No server of the plant knows that it exists.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

from simulators.faults import Event


def write(file: TextIO, events: Iterable[Event], now: datetime) -> None:
    """Append events that happened until now, one line each, and flush.

        {"time": "2026-01-05T06:21:03.500000Z", "simulated_s": 1200.0, "event": "on", "fault": "bearing_wear",
         "target": "pump", "since_s": 1200.0, "severity": 0.0}

    `time` is wall-clock UTC, `simulated_s` and `since_s` count from the start of the simulation; `event` is `on`,
    `grown`, `failed` or `off`.
    """
    for event in events:
        line = {
            "time": stamp(now),
            "simulated_s": event.at_s,
            "event": event.what,
            "fault": event.kind,
            "target": event.target,
            "since_s": event.since_s,
            "severity": round(event.severity, 4),
        }
        file.write(json.dumps(line) + "\n")
    file.flush()


def stamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
