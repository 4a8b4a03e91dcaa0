"""Compressed air: a screw compressor that loads and unloads on a receiver, and a desiccant dryer."""

from typing import Final, NamedTuple

from simulators.physics.laws import clip, lag, wander
from simulators.physics.noise import Noise

RECEIVER_M3: Final = 5.0
DELIVERY: Final = 7.6  # free air [m3/min] of the loaded compressor with a clean filter
BAND: Final = 0.6  # bar, between loading and unloading
LEAKS: Final = 0.7  # free air [m3/min] that a tight plant loses
IDLE_S: Final = 360.0  # unloaded for so long, the motor stops
LOADED_KW: Final = 46.0
IDLE_KW: Final = 14.0
TRIP_TEMPERATURE: Final = 110.0  # C, at the screw


class Air(NamedTuple):
    """The compressor and its receiver.

    `pressure` and `pressure_set` [bar above the air around], `idle_s` unloaded so far, `power` [kW],
    `discharge` temperature at the screw [C], `dew_point` of the dried air [C], hours of running and loaded
    running, `starts`, `volume` delivered [m3], `demand` and `filter_drop` as measured last [m3/min], [mbar].
    """

    enabled: bool
    running: bool
    loaded: bool
    pressure: float
    pressure_set: float
    idle_s: float
    power: float
    discharge: float
    dew_point: float
    dew_wander: float
    hours: float
    loaded_hours: float
    starts: int
    volume: float
    demand: float
    filter_drop: float

    @property
    def hot(self) -> bool:
        """Whether the screw is near its limit (a warning)."""
        return self.discharge > TRIP_TEMPERATURE - 8.0


def new(ambient: float) -> Air:
    return Air(
        enabled=True,
        running=True,
        loaded=False,
        pressure=7.1,
        pressure_set=6.6,
        idle_s=0.0,
        power=IDLE_KW,
        discharge=ambient + 40.0,
        dew_point=-24.0,
        dew_wander=0.0,
        hours=18_432.5,
        loaded_hours=13_207.8,
        starts=5_214,
        volume=4_985_220.0,
        demand=LEAKS,
        filter_drop=5.0,
    )


def step(air: Air, *, machines: float, leak: float, fouling: float, ambient: float, noise: Noise, dt_s: float) -> Air:
    """Step the compressor; `machines` take free air [m3/min], `leak` and `fouling` are severities 0 to 1.

    A leak of 1 loses 4 m3/min more; a filter fouled to 1 costs a third of the delivery and 22 K at the screw.
    """
    running, loaded, idle_s = _regulate(air, dt_s)
    dew_wander = wander(air.dew_wander, noise.normal(), 600.0, 0.8, dt_s)
    demand = (machines + LEAKS + 4.0 * leak) * clip(air.pressure / 6.0, 0.0, 1.2)
    delivered = DELIVERY * (1.0 - 0.33 * fouling) if loaded else 0.0
    pressure = max(0.0, air.pressure + (delivered - demand) / 60.0 / RECEIVER_M3 * 1.013 * dt_s)
    kw = LOADED_KW * (0.79 + 0.03 * pressure) if loaded else IDLE_KW if running else 0.3
    warm = ambient + (55.0 * (1.0 + 0.4 * fouling) if loaded else 30.0 if running else 0.0)
    return Air(
        enabled=air.enabled,
        running=running,
        loaded=loaded,
        pressure=pressure,
        pressure_set=air.pressure_set,
        idle_s=idle_s,
        power=lag(air.power, kw, 1.5, dt_s),
        discharge=lag(air.discharge, warm, 240.0, dt_s),
        dew_point=lag(air.dew_point, -26.0 + 0.8 * delivered + 0.15 * (ambient - 20.0) + dew_wander, 400.0, dt_s),
        dew_wander=dew_wander,
        hours=air.hours + running * dt_s / 3600.0,
        loaded_hours=air.loaded_hours + loaded * dt_s / 3600.0,
        starts=air.starts + (running and not air.running),
        volume=air.volume + delivered / 60.0 * dt_s,
        demand=demand,
        filter_drop=lag(air.filter_drop, 45.0 * (1.0 + 4.0 * fouling) if loaded else 2.0, 3.0, dt_s),
    )


def read(air: Air, ambient: float) -> dict[str, float]:
    """Return what the compressor's instruments would show if they were perfect; units as in `instruments`."""
    return {
        "network_pressure": air.pressure,
        "pressure_setpoint": air.pressure_set,
        "discharge_temperature": air.discharge,
        "dew_point": air.dew_point,
        "intake_temperature": ambient,
        "air_demand": air.demand,
        "filter_drop": air.filter_drop,
        "motor_current": air.power * 1.72,
        "power": air.power,
        "running_hours": air.hours,
        "loaded_hours": air.loaded_hours,
        "air_volume": air.volume,
    }


def _regulate(air: Air, dt_s: float) -> tuple[bool, bool, float]:
    """Return whether the compressor runs, whether it is loaded, and for how long it has been idling [s]."""
    if not air.enabled or air.discharge > TRIP_TEMPERATURE:
        return False, False, 0.0
    low, high = air.pressure < air.pressure_set, air.pressure > air.pressure_set + BAND
    loaded = low or (air.loaded and not high)
    idle_s = 0.0 if loaded else air.idle_s + dt_s
    return loaded or (air.running and idle_s < IDLE_S), loaded, idle_s
