"""The instruments of the plant: what is measured where, in which range and unit, how finely and how noisily.

Data only. A name here is a name in the `read` function of the machine's physics module.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Instrument:
    """One measured value of a device.

    `low` and `high` are the range in `unit` (a key of UNITS), `noise` its standard deviation and `resolution` the
    step of the last digit, both in the same unit. What leaves the range is clipped, as a transmitter does.
    """

    name: str
    unit: str
    low: float
    high: float
    noise: float
    resolution: float
    text: str


# Symbol to UN/ECE Recommendation 20 code and name; OPC UA wants the code (OPC 10000-8, 5.6.3). No code: "".
UNITS: Final = {
    "°C": ("CEL", "degree Celsius"),
    "bar": ("BAR", "bar"),
    "mbar": ("MBR", "millibar"),
    "%": ("P1", "percent"),
    "kW": ("KWT", "kilowatt"),
    "W": ("WTT", "watt"),
    "V·A": ("D46", "volt-ampere"),
    "var": ("D44", "var"),
    "kWh": ("KWH", "kilowatt hour"),
    "kvarh": ("K3", "kilovolt ampere reactive hour"),
    "V": ("VLT", "volt"),
    "A": ("AMP", "ampere"),
    "Hz": ("HTZ", "hertz"),
    "r/min": ("RPM", "revolutions per minute"),
    "ml": ("MLT", "millilitre"),
    "m³/h": ("MQH", "cubic metre per hour"),
    "m³/min": ("G53", "cubic metre per minute"),
    "m³": ("MTQ", "cubic metre"),
    "N": ("NEW", "newton"),
    "N·m": ("NU", "newton metre"),
    "mm": ("MMT", "millimetre"),
    "m/s": ("MTS", "metre per second"),
    "mm/s": ("C16", "millimetre per second"),
    "m/s²": ("MSK", "metre per second squared"),
    "ms": ("C26", "millisecond"),
    "s": ("SEC", "second"),
    "h": ("HUR", "hour"),
    "°": ("DD", "degree"),
    "1": ("C62", "one"),
    "1/h": ("", "bottles per hour"),
}

_DRIVE: Final = (
    Instrument("motor_temperature", "°C", 0.0, 150.0, 0.05, 0.1, "Winding temperature of the main drive"),
    Instrument("power", "kW", 0.0, 60.0, 0.02, 0.01, "Electric power of the machine"),
)


_SPEEDS: Final = (
    Instrument("cur_mach_speed", "1/h", 0.0, 40000.0, 6.0, 1.0, "Current speed"),
    Instrument("mach_speed", "1/h", 0.0, 40000.0, 0.0, 1.0, "Speed set point"),
    Instrument("mach_design_speed", "1/h", 0.0, 40000.0, 0.0, 1.0, "Design speed"),
)


def _current(high: float) -> Instrument:
    return Instrument("drive_current", "A", 0.0, high, 0.03, 0.01, "Current of the main drive")


def _phases(name: str, unit: str, high: float, noise: float, resolution: float, text: str) -> tuple[Instrument, ...]:
    return tuple(Instrument(f"{name}_l{i}", unit, 0.0, high, noise, resolution, f"{text} L{i}") for i in (1, 2, 3))


INSTRUMENTS: Final[dict[str, tuple[Instrument, ...]]] = {
    "filler": (
        Instrument("temperature", "°C", -5.0, 40.0, 0.02, 0.01, "Product temperature in the bowl"),
        Instrument("bowl_pressure", "bar", 0.0, 6.0, 0.003, 0.001, "Pressure in the bowl, above ambient"),
        Instrument("bowl_level", "%", 0.0, 100.0, 0.15, 0.1, "Level of product in the bowl"),
        Instrument("fill_volume", "ml", 0.0, 2000.0, 0.15, 0.1, "Volume filled into a bottle, mean of a turn"),
        Instrument("valve_time", "ms", 0.0, 10000.0, 4.0, 1.0, "Opening time of the filling valves, mean"),
        Instrument("product_flow", "m³/h", 0.0, 25.0, 0.02, 0.01, "Flow of product into the bowl"),
        Instrument("cooling_valve", "%", 0.0, 100.0, 0.05, 0.1, "Position of the valve to the product cooler"),
        _current(32.0),
        *_DRIVE,
        *_SPEEDS,
    ),
    "capper": (
        Instrument("torque", "N·m", 0.0, 5.0, 0.01, 0.001, "Closing torque, mean of a turn"),
        Instrument("torque_setpoint", "N·m", 0.5, 3.5, 0.0, 0.01, "Closing torque set point"),
        Instrument("top_load", "N", 0.0, 400.0, 0.8, 0.1, "Force of the heads on the caps"),
        Instrument("head_temperature", "°C", 0.0, 120.0, 0.05, 0.1, "Temperature of the closing heads"),
        Instrument("head_speed", "r/min", 0.0, 200.0, 0.2, 0.1, "Speed of the closing heads"),
        Instrument("cap_hopper_level", "%", 0.0, 100.0, 0.2, 0.1, "Caps in the hopper"),
        _current(20.0),
        *_DRIVE,
        *_SPEEDS,
    ),
    "labeller": (
        Instrument("web_tension", "N", 0.0, 60.0, 0.15, 0.01, "Tension of the label web"),
        Instrument("glue_temperature", "°C", 0.0, 220.0, 0.1, 0.1, "Temperature of the glue tank"),
        Instrument("glue_setpoint", "°C", 120.0, 180.0, 0.0, 0.1, "Glue temperature set point"),
        Instrument("reel_diameter", "mm", 100.0, 700.0, 0.3, 0.1, "Diameter of the label reel"),
        Instrument("label_offset", "mm", -5.0, 5.0, 0.03, 0.01, "Offset of the label from its place"),
        Instrument("web_speed", "m/s", 0.0, 4.0, 0.002, 0.001, "Speed of the label web"),
        _current(20.0),
        *_DRIVE,
        *_SPEEDS,
    ),
    "packer": (
        Instrument("vacuum", "mbar", 0.0, 1000.0, 0.8, 0.1, "Vacuum at the grippers, below ambient"),
        Instrument("cycle_time", "s", 0.0, 60.0, 0.005, 0.001, "Time for one pack of twelve"),
        Instrument("tunnel_temperature", "°C", 0.0, 260.0, 0.15, 0.1, "Air temperature of the shrink tunnel"),
        Instrument("tunnel_power", "kW", 0.0, 30.0, 0.02, 0.01, "Heating power of the shrink tunnel"),
        Instrument("film_tension", "N", 0.0, 120.0, 0.2, 0.1, "Tension of the wrapping film"),
        _current(25.0),
        *_DRIVE,
        *_SPEEDS,
    ),
    "compressor": (
        Instrument("network_pressure", "bar", 0.0, 16.0, 0.004, 0.01, "Pressure in the receiver"),
        Instrument("pressure_setpoint", "bar", 5.0, 10.0, 0.0, 0.01, "Loading pressure set point"),
        Instrument("discharge_temperature", "°C", -40.0, 150.0, 0.1, 0.1, "Temperature at the screw"),
        Instrument("dew_point", "°C", -80.0, 20.0, 0.1, 0.1, "Pressure dew point behind the dryer"),
        Instrument("intake_temperature", "°C", -40.0, 60.0, 0.05, 0.1, "Temperature of the air taken in"),
        Instrument("air_demand", "m³/min", 0.0, 20.0, 0.02, 0.01, "Free air taken by the plant"),
        Instrument("filter_drop", "mbar", 0.0, 500.0, 0.3, 0.1, "Pressure drop of the intake filter"),
        Instrument("motor_current", "A", 0.0, 150.0, 0.1, 0.1, "Motor current"),
        Instrument("power", "kW", 0.0, 80.0, 0.05, 0.1, "Electric power"),
        Instrument("running_hours", "h", 0.0, 4e6, 0.0, 1.0, "Hours run"),
        Instrument("loaded_hours", "h", 0.0, 4e6, 0.0, 1.0, "Hours run loaded"),
        Instrument("air_volume", "m³", 0.0, 4e9, 0.0, 1.0, "Free air delivered so far"),
    ),
    "chiller": (
        Instrument("supply_temperature", "°C", -20.0, 40.0, 0.02, 0.01, "Glycol temperature to the plant"),
        Instrument("return_temperature", "°C", -20.0, 40.0, 0.02, 0.01, "Glycol temperature from the plant"),
        Instrument("supply_setpoint", "°C", -10.0, 15.0, 0.0, 0.1, "Supply temperature set point"),
        Instrument("flow", "m³/h", 0.0, 80.0, 0.1, 0.01, "Flow of glycol"),
        Instrument("cooling_power", "kW", 0.0, 400.0, 0.3, 0.1, "Heat taken from the glycol"),
        Instrument("power", "kW", 0.0, 150.0, 0.1, 0.1, "Electric power"),
        Instrument("cop", "1", 0.0, 15.0, 0.01, 0.01, "Coefficient of performance"),
        Instrument("ambient_temperature", "°C", -40.0, 60.0, 0.05, 0.1, "Air temperature at the condenser"),
        Instrument("evaporating_temperature", "°C", -40.0, 30.0, 0.05, 0.1, "Evaporating temperature"),
        Instrument("condensing_temperature", "°C", -10.0, 80.0, 0.05, 0.1, "Condensing temperature"),
        Instrument("evaporating_pressure", "bar", 0.0, 10.0, 0.005, 0.01, "Evaporating pressure, absolute"),
        Instrument("condensing_pressure", "bar", 0.0, 40.0, 0.01, 0.01, "Condensing pressure, absolute"),
        Instrument("capacity", "%", 0.0, 100.0, 0.0, 0.1, "Capacity in use"),
        Instrument("running_hours", "h", 0.0, 4e6, 0.0, 1.0, "Hours run by the compressor"),
    ),
    "pump": (
        Instrument("speed", "r/min", 0.0, 3600.0, 0.3, 0.1, "Shaft speed"),
        Instrument("flow", "m³/h", 0.0, 80.0, 0.05, 0.01, "Flow of glycol"),
        Instrument("suction_pressure", "bar", -1.0, 6.0, 0.003, 0.001, "Pressure at the suction, above ambient"),
        Instrument("discharge_pressure", "bar", -1.0, 10.0, 0.005, 0.001, "Pressure at the discharge, above ambient"),
        Instrument("motor_current", "A", 0.0, 20.0, 0.02, 0.01, "Motor current"),
        Instrument("power", "kW", 0.0, 10.0, 0.01, 0.01, "Electric power"),
        Instrument("bearing_temperature", "°C", -20.0, 150.0, 0.05, 0.1, "Temperature of the drive-end bearing"),
        Instrument("motor_temperature", "°C", -20.0, 180.0, 0.05, 0.1, "Winding temperature"),
        Instrument("running_hours", "h", 0.0, 4e6, 0.0, 1.0, "Hours run"),
        Instrument("velocity_rms", "mm/s", 0.0, 50.0, 0.0, 0.01, "Vibration velocity, RMS 10 to 1000 Hz"),
        Instrument("acceleration_rms", "m/s²", 0.0, 500.0, 0.0, 0.01, "Vibration acceleration, RMS to 8 kHz"),
        Instrument("acceleration_peak", "m/s²", 0.0, 500.0, 0.0, 0.1, "Vibration acceleration, peak"),
    ),
    "energy": (
        *_phases("voltage", "V", 300.0, 0.05, 0.1, "Voltage"),
        *_phases("current", "A", 1000.0, 0.1, 0.01, "Current"),
        *_phases("power", "W", 230e3, 30.0, 1.0, "Active power"),
        *_phases("apparent_power", "V·A", 230e3, 30.0, 1.0, "Apparent power"),
        *_phases("reactive_power", "var", 230e3, 30.0, 1.0, "Reactive power"),
        *_phases("power_factor", "1", 1.0, 0.0005, 0.001, "Power factor"),
        *_phases("phase_angle", "°", 90.0, 0.02, 0.1, "Phase angle"),
        *_phases("thd_voltage", "%", 100.0, 0.02, 0.01, "Total harmonic distortion of the voltage"),
        *_phases("import_energy", "kWh", 1e9, 0.0, 0.01, "Active energy imported"),
        Instrument("power_total", "W", 0.0, 690e3, 60.0, 1.0, "Active power"),
        Instrument("apparent_power_total", "V·A", 0.0, 690e3, 60.0, 1.0, "Apparent power"),
        Instrument("reactive_power_total", "var", 0.0, 690e3, 60.0, 1.0, "Reactive power"),
        Instrument("power_factor_total", "1", 0.0, 1.0, 0.0005, 0.001, "Power factor"),
        Instrument("phase_angle_total", "°", 0.0, 90.0, 0.02, 0.1, "Phase angle"),
        Instrument("frequency", "Hz", 45.0, 55.0, 0.001, 0.001, "Frequency"),
        Instrument("import_energy", "kWh", 0.0, 1e9, 0.0, 0.01, "Active energy imported"),
        Instrument("export_energy", "kWh", 0.0, 1e9, 0.0, 0.01, "Active energy exported"),
        Instrument("import_reactive_energy", "kvarh", 0.0, 1e9, 0.0, 0.01, "Reactive energy imported"),
        Instrument("export_reactive_energy", "kvarh", 0.0, 1e9, 0.0, 0.01, "Reactive energy exported"),
        Instrument("total_energy", "kWh", 0.0, 1e9, 0.0, 0.01, "Active energy, both directions"),
        Instrument("total_reactive_energy", "kvarh", 0.0, 1e9, 0.0, 0.01, "Reactive energy, both directions"),
    ),
}

SENSORS: Final = tuple(f"{device}/{item.name}" for device, items in INSTRUMENTS.items() for item in items)
