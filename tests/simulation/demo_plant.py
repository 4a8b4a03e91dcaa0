"""The demonstration's plant and the signals of config/demo.yaml, in simulated time: no servers, no sockets, no clock.

The plant is stepped through its physics; once a second of the gateway, which is twenty of the plant, its instruments
are read as the demonstration's devices are polled, and every five the waveform of the pump is taken. The readings go
through the signals just as the gateway builds them, and what these derive goes back to them, as through the journal.

    python -m tests.simulation.demo_plant --hours 168 --seeds 3        what is advised in weeks without a fault
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.cli._process import read_config
from gateway.clock import SystemClock
from gateway.contracts import Signal
from gateway.model import Batch, Catalog, Kind
from gateway.model.batch import objects
from gateway.plan import plan
from gateway.plugins import Protocols, shipped, signal_kinds
from simulators.faults import Event
from simulators.plant import Plant
from simulators.yamlfile import load

SITE: Final = "acme/dresden/"
EPOCH_NS: Final = 1_767_592_800_000_000_000
WAVEFORM_TICKS: Final = 5
MACHINES: Final = ("filler", "capper", "labeller", "packer")
OTHER_NAMES: Final = {"speed": "cur_mach_speed", "speed_setpoint": "mach_speed"}
"""Of tags that are called otherwise in a machine's PackML."""


@dataclass
class Told:
    """What signals have told: minutes of the plant, path below the site, value; and what was true."""

    rows: list[tuple[float, str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def advice(self) -> list[tuple[float, dict[str, Any]]]:
        """What was raised, and when."""
        return [(at, value) for at, path, value in self.rows if path.endswith("_advice") and value["ActiveState"]]


class Floor:
    """The plant, and the signals that watch it."""

    def __init__(self, seed: int, *, faults: bool) -> None:
        file = load(shipped("plants", "bottling.yaml"))
        self.plant = Plant(file if faults else file.model_copy(update={"faults": []}), seed)
        self._step_s = file.accelerate
        config, document = read_config(shipped("demo.yaml"))
        self.catalog = Catalog()
        planned = plan(config, document, self.catalog, Protocols(), signal_kinds(), SystemClock())
        self.signals = planned.signals
        self._signals = [built.signal for built in planned.signals.values()]
        self._masks = [_mask(signal, len(self.catalog)) for signal in self._signals]
        self._waveform = self.catalog.number(f"{SITE}utilities/pump1/vibration/waveform")
        self._tags, self._names = self._wired(set(self.plant.measure()))
        self._tick = 0
        self.told = Told()

    def run(self, hours: float) -> Told:
        """Run for so many hours of the plant."""
        for _ in range(round(hours * 3600 / self._step_s)):
            for batch in self.tick():
                self._feed(batch)
        return self.told

    def tick(self) -> Sequence[Batch]:
        """Let a second of the gateway go by; return what its devices read."""
        self.plant.run(self._step_s)
        self.told.events += self.plant.take_events()
        read = list(self._read())
        self._tick += 1
        return read

    def _read(self) -> Iterator[Batch]:
        time = EPOCH_NS + self._tick * 1_000_000_000
        shown = self.plant.measure()
        yield Batch.of(self._tags, time, np.array([shown[name] for name in self._names], np.float64))
        if self._tick % WAVEFORM_TICKS == 0:
            yield Batch.of([self._waveform], time, objects([self.plant.waveform().astype(np.float64)]))

    def _feed(self, batch: Batch) -> None:
        """Give a batch to the signals, and what they derive from it."""
        coming = [batch]
        while coming:
            derived = [
                answer
                for one in coming
                for signal, mask in zip(self._signals, self._masks, strict=True)
                if mask[one.tag].any()
                for answer in signal.update(_numbers(one.where(mask[one.tag])))
            ]
            for one in derived:
                at = self._tick * self._step_s / 60
                self.told.rows += [
                    (at, self.catalog[number].path.removeprefix(SITE), value)
                    for number, value in zip(one.tag.tolist(), one.value.tolist(), strict=True)
                ]
            coming = derived

    def _wired(self, sensors: set[str]) -> tuple[list[int], list[str]]:
        """The tags that some signal wants, and the sensors of the plant that they are."""
        wanted = np.any(self._masks, axis=0)
        found = {}
        for number in np.flatnonzero(wanted).tolist():
            tag = self.catalog[number]
            machine, name = tag.asset.rpartition("/")[2].rstrip("1"), tag.name.rpartition("/")[2]
            sensor = f"{machine}/{OTHER_NAMES.get(name, name) if machine in MACHINES else name}"
            if tag.device and sensor in sensors:
                found[number] = sensor
        return list(found), list(found.values())


def _mask(signal: Signal, n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, np.bool_)
    mask[signal.inputs] = True
    return mask


def _numbers(batch: Batch) -> Batch:
    """As gateway/derive.py gives them to signals."""
    if batch.kind in (Kind.FLOAT, Kind.OBJECT):
        return batch
    return Batch(batch.tag, batch.time, batch.value.astype(np.float64), batch.quality)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What is advised in weeks without a fault.")
    parser.add_argument("--hours", type=float, default=168.0, help="of the plant")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--faults", action="store_true", help="with those of the plant file")
    given = parser.parse_args(arguments)
    for seed in range(1, given.seeds + 1):
        told = Floor(seed, faults=given.faults).run(given.hours)
        lines = [f"  {at / 60:6.1f} h  {value['Message']}\n" for at, value in told.advice()]
        print(f"seed {seed}: {len(lines)} advice in {given.hours:g} h\n{''.join(lines)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
