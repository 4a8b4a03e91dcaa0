"""The filler: a bowl of cold product under pressure, 60 valves, a carousel."""

from math import sqrt
from typing import Final, NamedTuple

from simulators.physics.laws import WATER_KJ_PER_LITRE_K, Drive, clip, drive_step, lag, wander
from simulators.physics.line import FILLER, Product
from simulators.physics.machine import Machine
from simulators.physics.noise import Noise

BOWL_LITRES: Final = 120.0
LEVEL_SET: Final = 70.0  # %
SUPPLY_TEMPERATURE: Final = 18.0  # C, of the product before it is cooled
CIRCULATION_L_S: Final = 0.4  # product that goes round through the cooler even when no bottle is filled
WARM_K: Final = 4.0  # above the recipe's temperature the filler holds, until it is back within ...
COLD_AGAIN_K: Final = 2.0


class Filler(NamedTuple):
    """The process in the filler.

    `temperature` of the product in the bowl [C], `cooling_valve` 0 to 1 and its `trim`, `bowl_level` [%],
    `inflow` [l/s], `bowl_pressure` [bar], `pressure_wander` [bar], `volume_error` [ml], `heat` given to the
    chiller [kW].
    """

    temperature: float
    cooling_valve: float
    trim: float
    bowl_level: float
    inflow: float
    bowl_pressure: float
    pressure_wander: float
    volume_error: float
    heat: float
    warm: bool
    drive: Drive

    @property
    def power(self) -> float:
        """Electric power [kW]: drive and 1.2 kW of controls and pumps."""
        return self.drive.power + 1.2


def new(product: Product, ambient: float) -> Filler:
    drive = Drive(0.0, 0.4, ambient + 15.0)
    return Filler(
        temperature=product.temperature,
        cooling_valve=0.1,
        trim=0.0,
        bowl_level=LEVEL_SET,
        inflow=0.0,
        bowl_pressure=product.pressure,
        pressure_wander=0.0,
        volume_error=0.0,
        heat=0.0,
        warm=False,
        drive=drive,
    )


def step(
    filler: Filler,
    machine: Machine,
    product: Product,
    *,
    chilled: float,
    chilled_flow: float,
    ambient: float,
    noise: Noise,
    dt_s: float,
) -> Filler:
    """Step the process; `chilled` water arrives with that temperature [C] and `chilled_flow` [m3/h]."""
    outflow = machine.speed / 3600.0 * product.volume / 1000.0
    through_cooler = outflow + CIRCULATION_L_S
    entering = filler.temperature + (SUPPLY_TEMPERATURE - filler.temperature) * outflow / through_cooler
    reachable = _effectiveness(chilled_flow) * (entering - chilled)
    cooled = filler.cooling_valve * reachable
    arriving = entering - cooled
    temperature = lag(filler.temperature, arriving, BOWL_LITRES / through_cooler, dt_s)
    temperature = lag(temperature, ambient, 3 * 3600.0, dt_s)
    excess = temperature - product.temperature
    wanted = (entering - product.temperature) / max(reachable, 1.0) + filler.trim
    pressure_wander = wander(filler.pressure_wander, noise.normal(), 20.0, 0.015, dt_s)
    bowl_level = filler.bowl_level + (filler.inflow - outflow) / BOWL_LITRES * 100.0 * dt_s
    asked = clip(outflow + 0.06 * (LEVEL_SET - bowl_level), 0.0, 6.0)
    regulated = lag(filler.bowl_pressure - filler.pressure_wander, product.pressure, 8.0, dt_s)
    return Filler(
        temperature=temperature,
        cooling_valve=lag(filler.cooling_valve, clip(wanted, 0.0, 1.0), 2.0, dt_s),
        trim=clip(filler.trim + 0.001 * excess * dt_s, -0.2, 0.2),
        bowl_level=clip(bowl_level, 0.0, 100.0),
        inflow=lag(filler.inflow, asked, 3.0, dt_s),
        bowl_pressure=regulated + pressure_wander,
        pressure_wander=pressure_wander,
        volume_error=wander(filler.volume_error, noise.normal(), 40.0, 0.5, dt_s),
        heat=max(0.0, through_cooler * WATER_KJ_PER_LITRE_K * cooled),
        warm=excess > (COLD_AGAIN_K if filler.warm else WARM_K),
        drive=drive_step(filler.drive, machine.load(FILLER), ambient, noise.normal(), dt_s, idle_a=5.0, full_a=19.0),
    )


def read(filler: Filler, machine: Machine, product: Product) -> dict[str, float]:
    """Return what the filler's instruments would show if they were perfect; units as in `instruments`."""
    volume = product.volume + filler.volume_error + 0.2 * (filler.temperature - product.temperature)
    return {
        "temperature": filler.temperature,
        "bowl_pressure": filler.bowl_pressure,
        "bowl_level": filler.bowl_level,
        "fill_volume": volume,
        "valve_time": _valve_time(volume, filler.bowl_pressure),
        "product_flow": filler.inflow * 3.6,
        "cooling_valve": 100.0 * filler.cooling_valve,
        "drive_current": filler.drive.current,
        "motor_temperature": filler.drive.temperature,
        "power": filler.power,
    }


def _effectiveness(chilled_flow: float) -> float:
    """Return the effectiveness of the plate cooler, 0 to 1, at a flow of chilled water [m3/h]."""
    return chilled_flow / (chilled_flow + 4.0)


def _valve_time(volume: float, pressure: float) -> float:
    """Return how long a valve stays open [ms]: 3.1 s for 500 ml at 1.2 bar, and by Torricelli beyond."""
    return 6.8 * volume / sqrt(max(pressure, 0.1))
