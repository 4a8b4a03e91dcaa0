"""The packer: twelve bottles to a tray, gripped by vacuum, wrapped and shrunk in a hot tunnel."""

from typing import Final, NamedTuple

from simulators.physics.laws import Drive, clip, drive_step, lag, wander
from simulators.physics.line import PACKER
from simulators.physics.machine import Machine
from simulators.physics.noise import Noise

BOTTLES_PER_PACK: Final = 12
TUNNEL_SET: Final = 168.0  # C
TUNNEL_KW_MAX: Final = 24.0


class Packer(NamedTuple):
    """The process in the packer.

    `vacuum` below the air around [mbar], `vacuum_wander` [mbar], `tunnel` temperature [C], `tunnel_power` [kW],
    `film_wander` [N].
    """

    vacuum: float
    vacuum_wander: float
    tunnel: float
    tunnel_power: float
    film_wander: float
    drive: Drive

    @property
    def power(self) -> float:
        """Electric power [kW]: drive, shrink tunnel, and 0.9 kW of vacuum pump and controls."""
        return self.drive.power + self.tunnel_power + 0.9


def new(ambient: float) -> Packer:
    return Packer(
        vacuum=600.0,
        vacuum_wander=0.0,
        tunnel=TUNNEL_SET,
        tunnel_power=9.0,
        film_wander=0.0,
        drive=Drive(0.0, 0.3, ambient + 14.0),
    )


def step(packer: Packer, machine: Machine, ambient: float, noise: Noise, dt_s: float) -> Packer:
    """Step the process; packs carry heat out of the tunnel, the heater follows."""
    load = machine.load(PACKER)
    vacuum_wander = wander(packer.vacuum_wander, noise.normal(), 45.0, 6.0, dt_s)
    asked = clip(0.068 * (packer.tunnel - ambient) + 1.5 * (TUNNEL_SET - packer.tunnel), 0.0, TUNNEL_KW_MAX)
    lost = (0.055 + 0.030 * load) * (packer.tunnel - ambient)
    return Packer(
        vacuum=lag(packer.vacuum, 640.0 - 60.0 * load + vacuum_wander, 1.5, dt_s),
        vacuum_wander=vacuum_wander,
        tunnel=packer.tunnel + (packer.tunnel_power - lost) / 85.0 * dt_s,
        tunnel_power=lag(packer.tunnel_power, asked, 6.0, dt_s),
        film_wander=wander(packer.film_wander, noise.normal(), 30.0, 1.2, dt_s),
        drive=drive_step(packer.drive, load, ambient, noise.normal(), dt_s, idle_a=4.0, full_a=15.0),
    )


def read(packer: Packer, machine: Machine) -> dict[str, float]:
    """Return what the packer's instruments would show if they were perfect; units as in `instruments`."""
    return {
        "vacuum": packer.vacuum,
        "cycle_time": min(60.0, BOTTLES_PER_PACK * 3600.0 / max(machine.speed, 1.0)),
        "tunnel_temperature": packer.tunnel,
        "tunnel_power": packer.tunnel_power,
        "film_tension": 42.0 + packer.film_wander,
        "drive_current": packer.drive.current,
        "motor_temperature": packer.drive.temperature,
        "power": packer.power,
    }
