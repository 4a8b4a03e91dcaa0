"""The capper: screw caps, put on with a controlled torque."""

from typing import Final, NamedTuple

from simulators.physics.laws import Drive, drive_step, lag, wander
from simulators.physics.line import CAPPER
from simulators.physics.machine import Machine
from simulators.physics.noise import Noise

HOPPER_CAPS: Final = 18_000
REFILL_AT: Final = 25.0  # %
REFILL_RATE: Final = 0.6  # % per s
HEADS: Final = 20


class Capper(NamedTuple):
    """The process in the capper.

    `torque_set` and `torque_wander` [N.m], `force_wander` [N], `head_temperature` [C], `hopper` [%].
    """

    torque_set: float
    torque_wander: float
    force_wander: float
    head_temperature: float
    hopper: float
    refilling: bool
    drive: Drive

    @property
    def power(self) -> float:
        """Electric power [kW]: drive, and 0.6 kW of controls and cap elevator."""
        return self.drive.power + 0.6


def new(ambient: float) -> Capper:
    return Capper(
        torque_set=1.9,
        torque_wander=0.0,
        force_wander=0.0,
        head_temperature=ambient + 8.0,
        hopper=80.0,
        refilling=False,
        drive=Drive(0.0, 0.3, ambient + 14.0),
    )


def step(capper: Capper, machine: Machine, ambient: float, noise: Noise, dt_s: float) -> Capper:
    """Step the process; the heads warm with the torque they turn."""
    load = machine.load(CAPPER)
    refilling = capper.hopper < REFILL_AT or (capper.refilling and capper.hopper < 95.0)
    consumed = machine.speed / 3600.0 / HOPPER_CAPS * 100.0
    warm = ambient + 4.0 + 22.0 * load * capper.torque_set / 1.9
    return Capper(
        torque_set=capper.torque_set,
        torque_wander=wander(capper.torque_wander, noise.normal(), 90.0, 0.04, dt_s),
        force_wander=wander(capper.force_wander, noise.normal(), 60.0, 3.0, dt_s),
        head_temperature=lag(capper.head_temperature, warm, 600.0, dt_s),
        hopper=max(0.0, capper.hopper + (REFILL_RATE * refilling - consumed) * dt_s),
        refilling=refilling,
        drive=drive_step(capper.drive, load, ambient, noise.normal(), dt_s, idle_a=2.5, full_a=11.0),
    )


def read(capper: Capper, machine: Machine) -> dict[str, float]:
    """Return what the capper's instruments would show if they were perfect; units as in `instruments`."""
    return {
        "torque": capper.torque_set + capper.torque_wander,
        "torque_setpoint": capper.torque_set,
        "top_load": 180.0 + capper.force_wander,
        "head_temperature": capper.head_temperature,
        "head_speed": machine.speed / HEADS / 60.0 * 3.5,
        "cap_hopper_level": capper.hopper,
        "drive_current": capper.drive.current,
        "motor_temperature": capper.drive.temperature,
        "power": capper.power,
    }
