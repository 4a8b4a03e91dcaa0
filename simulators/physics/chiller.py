"""The chiller: glycol water for the filler, one refrigerant circuit with an air-cooled condenser."""

from typing import Final, NamedTuple

from simulators.physics.laws import clip, lag, saturation_pressure, wander
from simulators.physics.noise import Noise

CAPACITY_KW: Final = 260.0  # of cooling at full load
GLYCOL_KJ_K: Final = 7_600.0  # heat capacity of the circuit, 2 m3 of 30 % glycol
GLYCOL_KJ_M3_K: Final = 3_900.0
CARNOT_SHARE: Final = 0.46  # of the ideal coefficient of performance
FLOW_MIN: Final = 8.0  # m3/h, below which the flow switch stops the compressor


class Chiller(NamedTuple):
    """The chiller and its circuit.

    `supply` temperature and its set point [C], `heat` taken from the circuit now and `load` put into it [kW],
    `capacity` 0 to 1, `evaporating` and `condensing` temperature [C], `power` [kW], `fan_wander` [K].
    """

    supply: float
    supply_set: float
    capacity: float
    heat: float
    load: float
    flow: float
    evaporating: float
    condensing: float
    power: float
    fan_wander: float
    hours: float

    @property
    def flow_ok(self) -> bool:
        return self.flow > FLOW_MIN

    @property
    def running(self) -> bool:
        return self.capacity > 0.02

    @property
    def cop(self) -> float:
        """Coefficient of performance: cooling per electric power [1]."""
        return self.heat / self.power if self.running else 0.0


def new(ambient: float) -> Chiller:
    return Chiller(
        supply=-1.5,
        supply_set=-2.0,
        capacity=0.2,
        heat=50.0,
        load=50.0,
        flow=38.0,
        evaporating=-5.0,
        condensing=ambient + 10.0,
        power=14.0,
        fan_wander=0.0,
        hours=9_870.4,
    )


def step(
    chiller: Chiller, *, load: float, flow: float, fouling: float, ambient: float, noise: Noise, dt_s: float
) -> Chiller:
    """Step the chiller; `load` [kW] comes with a `flow` of glycol [m3/h], `fouling` of the condenser is 0 to 1."""
    gain = load + 0.4 * (ambient - chiller.supply)  # kW, with what the pipes let in
    asked = clip(0.25 * (chiller.supply - chiller.supply_set) + gain / CAPACITY_KW, 0.0, 1.0)
    capacity = lag(chiller.capacity, asked if flow > FLOW_MIN else 0.0, 25.0, dt_s)
    heat = CAPACITY_KW * capacity
    fan_wander = wander(chiller.fan_wander, noise.normal(), 120.0, 0.4, dt_s)
    lifted = 6.0 + 11.0 * capacity + 16.0 * fouling * capacity + fan_wander
    condensing = lag(chiller.condensing, max(ambient, 5.0) + lifted, 40.0, dt_s)
    evaporating = lag(chiller.evaporating, chiller.supply - 2.0 - 5.0 * capacity, 30.0, dt_s)
    lift = max(8.0, condensing - evaporating)
    kw = heat * lift / (CARNOT_SHARE * (evaporating + 273.15)) + 0.8 + 5.0 * capacity
    return Chiller(
        supply=chiller.supply + (gain - heat) / GLYCOL_KJ_K * dt_s,
        supply_set=chiller.supply_set,
        capacity=capacity,
        heat=heat,
        load=load,
        flow=flow,
        evaporating=evaporating,
        condensing=condensing,
        power=lag(chiller.power, kw, 3.0, dt_s),
        fan_wander=fan_wander,
        hours=chiller.hours + (capacity > 0.02) * dt_s / 3600.0,
    )


def read(chiller: Chiller, ambient: float) -> dict[str, float]:
    """Return what the chiller's instruments would show if they were perfect; units as in `instruments`."""
    warmed = chiller.load * 3600.0 / GLYCOL_KJ_M3_K / chiller.flow if chiller.flow_ok else 0.0
    return {
        "supply_temperature": chiller.supply,
        "return_temperature": chiller.supply + warmed,
        "supply_setpoint": chiller.supply_set,
        "flow": chiller.flow,
        "cooling_power": chiller.heat,
        "power": chiller.power,
        "cop": chiller.cop,
        "ambient_temperature": ambient,
        "evaporating_temperature": chiller.evaporating,
        "condensing_temperature": chiller.condensing,
        "evaporating_pressure": saturation_pressure(chiller.evaporating),
        "condensing_pressure": saturation_pressure(chiller.condensing),
        "capacity": 100.0 * chiller.capacity,
        "running_hours": chiller.hours,
    }
