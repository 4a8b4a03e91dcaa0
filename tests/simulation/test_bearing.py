"""The demonstration's bearing: it wears as the plant file says, and the signals of its configuration see it in time.

Without servers and clocks: the plant is stepped, a snapshot is taken every five seconds of the wall clock as its OPC UA
server does, and goes through the signals just as the gateway builds them. What is true is known from the plant.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from gateway.cli._process import read_config
from gateway.clock import SystemClock
from gateway.contracts import Signal
from gateway.model import Batch, Catalog
from gateway.model.batch import objects
from gateway.plan import plan
from gateway.plugins import Protocols, shipped, signal_kinds
from simulators.plant import Plant
from simulators.yamlfile import load

SNAPSHOT_S = 5.0
PUMP = "acme/dresden/utilities/pump1"


@dataclass
class Run:
    """What happened, in simulated seconds."""

    onset_s: float = np.inf
    failure_s: float = np.inf
    alarms: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def raised_s(self) -> float:
        return next((time for time, active in self.alarms if active), np.inf)


def signals() -> tuple[Catalog, list[Signal]]:
    """The signals of config/demo.yaml."""
    config, document = read_config(shipped("demo.yaml"))
    catalog = Catalog()
    planned = plan(config, document, catalog, Protocols(), signal_kinds(), SystemClock())
    return catalog, [built.signal for built in planned.signals.values()]


@cache
def demonstration(seed: int, until_min: float) -> Run:
    """Run the demonstration's plant without a gateway and its signals on what the pump's sensor would send."""
    file = load(shipped("plants", "bottling.yaml"))
    plant, run = Plant(file, seed), Run()
    catalog, chain = signals()
    waveform = catalog.number(f"{PUMP}/vibration/waveform")
    speed, alarm = (catalog.number(f"{PUMP}/{name}") for name in ("speed", "_alarm/bearing_drift"))
    while plant.now_s < until_min * 60:
        plant.run(SNAPSHOT_S * file.accelerate)
        now_ns = round(plant.now_s * 1e9)
        pending = [
            Batch.of([speed], now_ns, [float(plant.measure()["pump/speed"])]),
            Batch.of([waveform], now_ns, objects([plant.waveform().astype(np.float64)])),
        ]
        for signal in chain:
            for batch in list(pending):
                mine = batch.where(np.isin(batch.tag, signal.inputs))
                pending += signal.update(mine) if len(mine) else ()
        run.alarms += [(plant.now_s, bool(b.value[0])) for b in pending if b.tag[0] == alarm]
        for event in plant.take_events():
            if event.kind == "bearing_wear" and event.what == "on":
                run.onset_s = min(run.onset_s, event.since_s)
            if event.kind == "bearing_wear" and event.what == "failed":
                run.failure_s = min(run.failure_s, event.at_s)
    return run


@pytest.mark.parametrize("seed", [2026, 1, 2, 3])
def test_the_alarm_comes_after_the_onset_and_well_before_the_failure(seed: int) -> None:
    run = demonstration(seed, 200)
    assert run.onset_s < run.raised_s < run.failure_s
    life_s = run.failure_s - run.onset_s
    assert run.failure_s - run.raised_s > 0.25 * life_s


def test_a_sound_bearing_raises_nothing() -> None:
    """Wear begins after twenty minutes; until then there is only noise."""
    for seed in range(10, 20):
        assert demonstration(seed, 20).raised_s == np.inf
