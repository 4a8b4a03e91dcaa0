"""KPIs and orders on the bus: of each work unit, in its present shift; retained, and sent when they have changed."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import orjson

from gateway.bus.publisher import Publisher
from gateway.bus.topics import Topics
from gateway.contracts import Clock
from gateway.mqtt import Message
from gateway.payload import timestamps
from gateway.production.desk import Desk
from gateway.production.kpis import KPIS, kpis, units
from gateway.production.unit import Unit

_FULL: Final = 0.999
"""A KPI of which less than this is known is uncertain, and so is one whose counters were reset."""


class Report:
    """Publishes every `period_s` seconds what has changed, and everything after a new connection."""

    def __init__(self, desk: Desk, publisher: Publisher, topics: Topics, clock: Clock, period_s: float) -> None:
        self._desk = desk
        self._publisher = publisher
        self._topics = topics
        self._clock = clock
        self._period_s = period_s
        self._sent: dict[str, Any] = {}
        self._connection = -1

    async def run(self, up: Callable[[], None]) -> None:
        """Publish until cancelled. Raises OSError if the broker or the disk is lost meanwhile."""
        while True:
            if self._connection != self._publisher.connections:
                self._connection = self._publisher.connections
                self._sent.clear()
            for unit in self._desk.units.values():
                said = [one for one in await self._desk.ask(self._said, unit) if self._sent.get(one[0]) != one[1]]
                await self._publisher.publish([Message(topic, body, retain=True) for topic, _, body in said])
                self._sent |= {topic: value for topic, value, _ in said}
            up()
            await asyncio.sleep(self._period_s)

    def _said(self, unit: Unit) -> Sequence[tuple[str, Any, bytes]]:
        """Topic, what decides whether it is news, and message, of all KPIs of a unit and of its order."""
        now_ns = self._clock.now_ns()
        start, end, shift = self._desk.present(unit)
        found, until = self._desk.elements(unit.name, start, min(end, now_ns))
        begin, when = timestamps(np.array([start, until]))
        evidence = {
            "start": begin,
            "end": when,
            "shift": shift,
            "elements": {name: float(amount) for name, amount in found.items()},
        }
        values = {name: None if value is None else float(value) for name, value in kpis(found).items()}
        unit_of = units(self._desk.energy_unit(unit.name))
        known = values["coverage"] is not None and values["coverage"] >= _FULL and not found["resets"]
        said: list[tuple[str, Any, bytes]] = []
        for name, value in values.items():
            quality = "bad" if value is None else "good" if known else "uncertain"
            body: dict[str, Any] = {"value": value, "timestamp": when, "quality": quality, "unit": unit_of[name]}
            body |= {"evidence": evidence | {"formula": KPIS[name].formula}}
            said.append((self._topics.kpi(unit.asset, name), (value, quality), orjson.dumps(body)))
        job = self._desk.job_on(unit.name)
        if job is not None:
            answer = self._desk.response(job)
            said.append((self._topics.order(unit.asset), answer, orjson.dumps(answer)))
        return said
