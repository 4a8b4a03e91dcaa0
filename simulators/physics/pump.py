"""The glycol pump: a centrifugal pump on a two-pole motor, driven through its characteristic curve."""

from math import sqrt
from typing import Final, NamedTuple

from simulators.physics import bearing
from simulators.physics.laws import clip, lag, ramp, wander
from simulators.physics.noise import Noise

SYNCHRONOUS_RPM: Final = 3_000.0
SLIP_RPM: Final = 48.0  # at rated power
RATED_KW: Final = 5.5
VANES: Final = 7
EFFICIENCY: Final = 0.65 * 0.90  # of impeller times motor
# Head of the pump and of the circuit [bar] at a flow q [m3/h]: 3.4 - 0.0005 q^2 and 0.001625 q^2 meet at 40 m3/h.
HEAD_BAR: Final = 3.4
CURVE: Final = 0.0005
CIRCUIT: Final = 0.001625
STRAINER: Final = 0.0025  # bar per (m3/h)^2 of a strainer fouled to 1
STATIC_BAR: Final = 1.6  # at the suction when nothing flows
CAVITATES_BELOW: Final = 0.7  # bar at the suction


class Pump(NamedTuple):
    """The pump.

    `speed` [rpm], `flow` [m3/h], `suction` and `discharge` pressure [bar], `power` [kW], `age` of the bearing
    damage [lives], `cavitation` 0 to 1, temperatures [C].
    """

    enabled: bool
    speed: float
    flow: float
    suction: float
    discharge: float
    power: float
    age: float
    cavitation: float
    surge: float
    bearing_temperature: float
    motor_temperature: float
    hours: float
    starts: int

    @property
    def wear(self) -> float:
        """Damage of the bearing, 0 to 1."""
        return bearing.wear(self.age)

    @property
    def failed(self) -> bool:
        """Whether the bearing has seized and the motor protection has tripped."""
        return self.age >= 1.0


def new(ambient: float) -> Pump:
    return Pump(
        enabled=True,
        speed=2_960.0,
        flow=40.0,
        suction=STATIC_BAR,
        discharge=STATIC_BAR + 2.6,
        power=4.9,
        age=0.0,
        cavitation=0.0,
        surge=0.0,
        bearing_temperature=ambient + 22.0,
        motor_temperature=ambient + 38.0,
        hours=23_210.7,
        starts=88,
    )


def step(
    pump: Pump,
    *,
    wear_onset: float | None,
    life_s: float,
    cavitation: float,
    fouling: float,
    ambient: float,
    noise: Noise,
    dt_s: float,
) -> Pump:
    """Step the pump.

    `wear_onset` is the damage with which a worn bearing began (None: a sound one), `life_s` the running time from
    the first crack to the failure; `cavitation` and `fouling` of the strainer are 0 to 1. The bearing is 24 K warmer
    than the air around it, and 48 K more when it is worn to 1; the motor is 46 K warmer at rated power.
    """
    driven = pump.enabled and not pump.failed
    speed = _speed(pump, driven, dt_s)
    turn = speed / SYNCHRONOUS_RPM
    strainer = STRAINER * fouling
    still = turn * sqrt(HEAD_BAR / (CURVE + CIRCUIT + strainer))
    flow = lag(pump.flow, still * (1.0 - 0.2 * pump.cavitation) * (1.0 + pump.surge), 2.0, dt_s)
    suction = STATIC_BAR - strainer * flow**2
    starving = clip((CAVITATES_BELOW - suction) / 0.6, 0.0, 1.0)
    head = HEAD_BAR * turn**2 - CURVE * flow**2
    hydraulic_kw = max(0.0, head) * flow / 36.0
    worn = bearing.wear(pump.age)
    kw = (hydraulic_kw / EFFICIENCY + 0.5 * worn) if driven else 0.0
    return Pump(
        enabled=pump.enabled,
        speed=speed,
        flow=flow,
        suction=suction,
        discharge=suction + head * (1.0 - 0.12 * pump.cavitation),
        power=lag(pump.power, kw, 0.5, dt_s),
        age=_aged(pump.age, wear_onset, turn * dt_s / life_s),
        cavitation=max(cavitation, starving) if turn > 0.5 else 0.0,
        surge=wander(pump.surge, noise.normal(), 2.0, 0.004 + 0.06 * pump.cavitation, dt_s),
        bearing_temperature=lag(pump.bearing_temperature, ambient + 24.0 * turn**2 + 48.0 * worn * turn, 500.0, dt_s),
        motor_temperature=lag(pump.motor_temperature, ambient + 46.0 * (pump.power / RATED_KW) ** 2, 900.0, dt_s),
        hours=pump.hours + driven * dt_s / 3600.0,
        starts=pump.starts + (driven and pump.speed < 30.0 <= speed),
    )


def read(pump: Pump) -> dict[str, float]:
    """Return what the pump's instruments would show if they were perfect; units as in `instruments`."""
    return {
        "speed": pump.speed,
        "flow": pump.flow,
        "suction_pressure": pump.suction,
        "discharge_pressure": pump.discharge,
        "motor_current": pump.power * 1.70,
        "power": pump.power,
        "bearing_temperature": pump.bearing_temperature,
        "motor_temperature": pump.motor_temperature,
        "running_hours": pump.hours,
    }


def _speed(pump: Pump, driven: bool, dt_s: float) -> float:
    """Return the speed [rpm]: pulled up in 3 s, and coasting down with 4 s when not driven."""
    if driven:
        return ramp(pump.speed, SYNCHRONOUS_RPM - SLIP_RPM * pump.power / RATED_KW, 1_000.0, dt_s)
    return lag(pump.speed, 0.0, 4.0, dt_s) if pump.speed > 1.0 else 0.0


def _aged(age: float, wear_onset: float | None, lives: float) -> float:
    """Return the age of the damage [lives] a moment later; a sound (repaired) bearing has none."""
    return 0.0 if wear_onset is None else max(age, bearing.age(wear_onset)) + lives
