"""The energy meter of the whole line: three phases of 400 V, and what they have delivered.

Only what must be remembered is stepped; currents, reactive power and distortion follow from it when read.
"""

from math import acos, degrees, sqrt
from typing import Final, NamedTuple

from simulators.physics.laws import clip, wander
from simulators.physics.noise import Noise

BASE_KW: Final = 14.0  # light, ventilation, controls
SHARES: Final = (0.342, 0.331, 0.327)  # of the load, by phase
NOMINAL_V: Final = 230.0


class Meter(NamedTuple):
    """The meter: active `power` [kW], energies [kWh, kvarh], and the wandering grid [V, Hz]."""

    power: float
    import_kwh: tuple[float, float, float]
    export_kwh: float
    import_kvarh: float
    voltage: float
    frequency: float
    unbalance: float


def new() -> Meter:
    return Meter(
        power=BASE_KW,
        import_kwh=(641_530.2, 622_918.7, 613_402.9),
        export_kwh=12.4,
        import_kvarh=902_177.5,
        voltage=0.0,
        frequency=0.0,
        unbalance=0.0,
    )


def step(meter: Meter, load: float, noise: Noise, dt_s: float) -> Meter:
    """Step the meter; `load` is the power of all machines [kW]."""
    power = load + BASE_KW
    hours = dt_s / 3600.0
    one, two, three = meter.import_kwh
    return Meter(
        power=power,
        import_kwh=(
            one + SHARES[0] * power * hours,
            two + SHARES[1] * power * hours,
            three + SHARES[2] * power * hours,
        ),
        export_kwh=meter.export_kwh,
        import_kvarh=meter.import_kvarh + _reactive(power) * hours,
        voltage=wander(meter.voltage, noise.normal(), 300.0, 1.2, dt_s),
        frequency=wander(meter.frequency, noise.normal(), 60.0, 0.015, dt_s),
        unbalance=wander(meter.unbalance, noise.normal(), 90.0, 0.01, dt_s),
    )


def read(meter: Meter) -> dict[str, float]:
    """Return the quantities of the meter with their units in the Eastron manner: V, A, W, VA, var, kWh."""
    values: dict[str, float] = {}
    factor = _power_factor(meter.power)
    shares = (SHARES[0] + meter.unbalance, SHARES[1] - meter.unbalance, SHARES[2])
    for i, share in enumerate(shares, start=1):
        watts = 1000.0 * meter.power * share
        volts = NOMINAL_V + meter.voltage + (0.6, -0.2, -0.4)[i - 1] - watts / 1000.0 * 0.02
        phase_factor = clip(factor + (0.004, -0.002, -0.002)[i - 1], 0.0, 0.999)
        values |= {
            f"voltage_l{i}": volts,
            f"current_l{i}": watts / phase_factor / volts,
            f"power_l{i}": watts,
            f"apparent_power_l{i}": watts / phase_factor,
            f"reactive_power_l{i}": watts / phase_factor * sqrt(1.0 - phase_factor**2),
            f"power_factor_l{i}": phase_factor,
            f"phase_angle_l{i}": degrees(acos(phase_factor)),
            f"thd_voltage_l{i}": 1.6 + 0.006 * meter.power + 0.1 * i,
            f"import_energy_l{i}": meter.import_kwh[i - 1],
        }
    for total in ("power", "apparent_power", "reactive_power"):
        values[f"{total}_total"] = sum(values[f"{total}_l{i}"] for i in (1, 2, 3))
    total_factor = values["power_total"] / values["apparent_power_total"]
    return values | {
        "power_factor_total": total_factor,
        "phase_angle_total": degrees(acos(total_factor)),
        "frequency": 50.0 + meter.frequency,
        "import_energy": sum(meter.import_kwh),
        "export_energy": meter.export_kwh,
        "import_reactive_energy": meter.import_kvarh,
        "export_reactive_energy": 0.0,
        "total_energy": sum(meter.import_kwh) + meter.export_kwh,
        "total_reactive_energy": meter.import_kvarh,
    }


def _power_factor(power: float) -> float:
    """Return the power factor of the line: motors at part load draw relatively more reactive power."""
    return 0.80 + 0.11 * power / (power + 40.0)


def _reactive(power: float) -> float:
    """Return the reactive power [kvar] that goes with an active power [kW]."""
    factor = _power_factor(power)
    return power * sqrt(1.0 - factor * factor) / factor
