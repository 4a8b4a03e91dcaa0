"""The plant: physics and faults joined, stepped in simulated time. No clock, no server, no event loop.

    plant = Plant(plantfile.load("config/plants/bottling.yaml"), seed=7)
    plant.run(3600.0)
    plant.measure()["filler/temperature"]

The same plant file, seed and duration give the same plant, bit for bit.
"""

from typing import Final

import numpy as np
from numpy.random import SeedSequence
from numpy.typing import NDArray

from simulators import panel
from simulators.faults import Event, Fault, Faults
from simulators.physics import setpoints, vibration, weather, world
from simulators.physics.line import MACHINES
from simulators.physics.noise import Noise, at_moment
from simulators.physics.world import Conditions, Reading
from simulators.plantfile import PlantFile

STEP_S: Final = 0.5  # a power of two, so that adding up steps never rounds
WEAR_STAGES: Final = 10  # the record of the truth notes a step of wear when it is reached


class Plant:
    """A plant in simulated time."""

    def __init__(self, file: PlantFile, seed: int | None = None) -> None:
        """Build the plant of a plant file; `seed` overrides the file's."""
        root = SeedSequence(file.seed if seed is None else seed)
        *streams, instruments, waveform = root.spawn(len(world.NOISES) + 2)
        self._noises = {name: Noise(stream) for name, stream in zip(world.NOISES, streams, strict=True)}
        self._panel_key, self._waveform_key = (
            int(child.generate_state(1, np.uint64)[0]) for child in (instruments, waveform)
        )
        self._file = file
        self._orders = file.production()
        self._calendar = file.calendar()
        self._steps = 0
        self._stuck: dict[str, float] = {}
        self._wear_stage = 0
        self._events: list[Event] = []
        self.faults = Faults(file.appointments())
        outdoors = weather.daily(self.week_s, file.weather.mean, file.weather.swing)
        processed = [file.counters.get(name, 0) for name in MACHINES]
        self.world = world.new(self._orders, processed, outdoors, self._noises, STEP_S)

    @property
    def now_s(self) -> float:
        """Simulated time since the start [s]."""
        return self._steps * STEP_S

    @property
    def week_s(self) -> float:
        """Simulated time since Monday 00:00 of the first week [s]."""
        return self._file.start + self.now_s

    def run(self, seconds: float) -> None:
        """Step until this much more simulated time has passed [s], rounded to whole steps."""
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        """Step everything by STEP_S."""
        self._steps += 1
        for event in self.faults.advance(self.now_s):
            self._note(event)
        self.world = world.step(self.world, self._orders, self._conditions(), self._noises, STEP_S)
        self._watch_bearing()

    def switch_on(self, fault: Fault, duration_s: float | None = None) -> None:
        """Switch a fault on now, for a while or (None) until it is switched off; replaces one that is on."""
        self._note(self.faults.on(fault, self.now_s, duration_s))

    def switch_off(self, kind: str, target: str) -> bool:
        """Switch a fault off now, which repairs it; return whether it was on."""
        events = self.faults.off(kind, target, self.now_s)
        for event in events:
            self._note(event)
        return bool(events)

    def take_events(self) -> list[Event]:
        """Return what has happened since the last call."""
        events, self._events = self._events, []
        return events

    def put(self, name: str, value: float) -> None:
        """Change a set point (`device/name`); ValueError if the value is out of its range."""
        self.world = setpoints.put(self.world, name, value)

    def measure(self) -> dict[str, float]:
        """Return what every sensor (`device/name`) shows now."""
        truth = world.read(self.world, self._orders)
        truth["pump"] |= vibration.levels(self.waveform())._asdict()
        drifts = {
            active.fault.target: self.faults.severity("drift", active.fault.target, self.now_s)
            for active in self.faults.active("drift")
        }
        return panel.show(truth, key=self._panel_key, moment=self._steps, drifts=drifts, stuck=self._stuck)

    def signals(self) -> dict[str, Reading]:
        """Return the states, counters and names of all devices (`device/name`)."""
        return world.signals(self.world, self._orders)

    def waveform(self) -> NDArray[np.float64]:
        """Return the acceleration of the pump bearing now [m/s2]: vibration.BLOCK samples at SAMPLE_RATE."""
        return vibration.block(self.world.pump, at_moment(self._waveform_key, self._steps))

    def _conditions(self) -> Conditions:
        """Return what the physics must know of the calendar, the season and the faults."""
        season = self._file.weather
        outdoors = weather.daily(self.week_s, season.mean, season.swing)
        calm = Conditions(producing=self._calendar.working(self.week_s), outdoors=outdoors)
        return _troubled(calm, self.faults, self.now_s) if self.faults.active() else calm

    def _note(self, event: Event) -> None:
        """Keep an event for the record; what a stuck sensor shows is what it showed when it stuck."""
        self._events.append(event)
        if event.kind == "stuck_sensor" and event.what == "on":
            self._stuck[event.target] = self.measure()[event.target]
        elif event.kind == "stuck_sensor":
            self._stuck.pop(event.target, None)

    def _watch_bearing(self) -> None:
        """Note when the bearing has worn a step further, and when it has failed."""
        worn, bearing = self.faults.get("bearing_wear", "pump"), self.world.pump
        stage = WEAR_STAGES if bearing.failed else int(bearing.wear * WEAR_STAGES) if worn else 0
        if worn is not None and stage > self._wear_stage:
            what = "failed" if bearing.failed else "grown"
            self._events.append(Event(what, self.now_s, "bearing_wear", "pump", worn.since_s, bearing.wear))
        self._wear_stage = stage


def _troubled(calm: Conditions, faults: Faults, now_s: float) -> Conditions:
    """Return the conditions with what the faults do to the physics."""
    worn = faults.get("bearing_wear", "pump")
    return calm._replace(
        jams=[faults.get("jam", name) is not None for name in MACHINES],
        trips=[faults.get("drive_trip", name) is not None for name in MACHINES],
        wear_onset=worn.fault.severity if worn else None,
        life=worn.fault.life if worn else calm.life,
        cavitation=faults.severity("cavitation", "pump", now_s),
        strainer_fouling=faults.severity("fouling", "pump", now_s),
        condenser_fouling=faults.severity("fouling", "chiller", now_s),
        filter_fouling=faults.severity("fouling", "compressor", now_s),
        air_leak=faults.severity("air_leak", "compressor", now_s),
    )
