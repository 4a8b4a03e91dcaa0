"""The labeller: labels from the reel, hot glue from a thermostat."""

from math import pi, sqrt
from typing import Final, NamedTuple

from simulators.physics.laws import Drive, drive_step, wander
from simulators.physics.line import LABELLER
from simulators.physics.machine import Machine
from simulators.physics.noise import Noise

LABEL_M: Final = 0.205
REEL_M: Final = 6_000.0
REEL_CORE_MM: Final = 152.0
FOIL_MM: Final = 0.040
REEL_CHANGE_S: Final = 75.0
GLUE_BAND_K: Final = 2.5  # the thermostat switches on this much below its set point
HEATER_KW: Final = 3.0


class Labeller(NamedTuple):
    """The process in the labeller.

    `reel` of labels left [m], `change_left_s` of a reel change, `glue` and `glue_set` temperature [C],
    `tension_wander` [N], `offset` of the label on the bottle [mm].
    """

    reel: float
    change_left_s: float
    glue: float
    glue_set: float
    heating: bool
    tension_wander: float
    offset: float
    drive: Drive

    @property
    def power(self) -> float:
        """Electric power [kW]: drive, glue heater, and 0.5 kW of controls."""
        return self.drive.power + HEATER_KW * self.heating + 0.5


def new(ambient: float) -> Labeller:
    return Labeller(
        reel=0.6 * REEL_M,
        change_left_s=0.0,
        glue=155.0,
        glue_set=155.0,
        heating=False,
        tension_wander=0.0,
        offset=0.0,
        drive=Drive(0.0, 0.3, ambient + 14.0),
    )


def step(labeller: Labeller, machine: Machine, ambient: float, noise: Noise, dt_s: float) -> Labeller:
    """Step the process; an empty reel is changed by hand while the machine holds."""
    reel, change_left_s = _reel(labeller, machine, dt_s)
    glue, heating = _thermostat(labeller, ambient, machine.load(LABELLER), dt_s)
    return Labeller(
        reel=reel,
        change_left_s=change_left_s,
        glue=glue,
        glue_set=labeller.glue_set,
        heating=heating,
        tension_wander=wander(labeller.tension_wander, noise.normal(), 15.0, 0.7, dt_s),
        offset=wander(labeller.offset, noise.normal(), 200.0, 0.25, dt_s),
        drive=drive_step(
            labeller.drive, machine.load(LABELLER), ambient, noise.normal(), dt_s, idle_a=3.0, full_a=12.5
        ),
    )


def read(labeller: Labeller, machine: Machine) -> dict[str, float]:
    """Return what the labeller's instruments would show if they were perfect; units as in `instruments`."""
    diameter = sqrt(REEL_CORE_MM**2 + 4.0 * labeller.reel * 1000.0 * FOIL_MM / pi)
    tension = 24.0 + 6.0 * (400.0 / diameter - 1.0) + labeller.tension_wander
    return {
        "web_tension": tension if machine.speed > 0.0 else 8.0,
        "glue_temperature": labeller.glue,
        "glue_setpoint": labeller.glue_set,
        "reel_diameter": diameter,
        "label_offset": labeller.offset,
        "web_speed": machine.speed / 3600.0 * LABEL_M,
        "drive_current": labeller.drive.current,
        "motor_temperature": labeller.drive.temperature,
        "power": labeller.power,
    }


def _reel(labeller: Labeller, machine: Machine, dt_s: float) -> tuple[float, float]:
    """Return the labels left [m], and the time left of changing the reel [s]."""
    if labeller.change_left_s > 0.0:
        left_s = labeller.change_left_s - dt_s
        return (REEL_M, 0.0) if left_s <= 0.0 else (labeller.reel, left_s)
    reel = labeller.reel - machine.speed / 3600.0 * LABEL_M * dt_s
    return (reel, 0.0) if reel > 0.0 else (0.0, REEL_CHANGE_S)


def _thermostat(labeller: Labeller, ambient: float, load: float, dt_s: float) -> tuple[float, bool]:
    """Return the temperature of the glue [C] and whether it is heated."""
    below = GLUE_BAND_K if not labeller.heating else 0.0
    heating = labeller.glue < labeller.glue_set - below
    lost = (0.0055 + 0.002 * load) * (labeller.glue - ambient)  # kW: from the tank, and with the glue used
    warmed = (HEATER_KW * heating - lost) / 45.0  # K/s: 45 kJ/K of tank and glue
    return labeller.glue + warmed * dt_s, heating
