"""The register maps of the Modbus devices. Data only; docs/simulators.md prints them.

They are as different as the field is: scaled integers with a sign, words swapped in 32-bit values, holes, status
bits, a text, a float in every order, and the map of a real meter.
"""

from typing import Final

from simulators.servers.registers import Bit, BitField, DeviceMap, Register, Text

COMPRESSOR: Final = DeviceMap(
    registers=(
        Register("holding", 0, "network_pressure", "uint16", 0.01),
        Register("holding", 1, "pressure_setpoint", "uint16", 0.01),
        Register("holding", 2, "discharge_temperature", "int16", 0.1),
        Register("holding", 3, "dew_point", "int16", 0.1),
        Register("holding", 4, "intake_temperature", "int16", 0.1),
        Register("holding", 5, "motor_current", "uint16", 0.1),
        Register("holding", 6, "power", "uint16", 0.1),
        Register("holding", 7, "air_demand", "uint16", 0.01),
        Register("holding", 8, "filter_drop", "uint16", 0.1),
        Register("holding", 16, "running_hours", "uint32", order="CDAB"),
        Register("holding", 18, "loaded_hours", "uint32", order="CDAB"),
        Register("holding", 20, "starts", "uint32", order="CDAB"),
        Register("holding", 22, "air_volume", "uint32", order="CDAB"),
    ),
    fields=(BitField("holding", 10, ("running", "loaded", "hot", "", "enabled")),),
    texts=(Text("holding", 32, 8, "ACME SK 45 A"),),
    bits=(
        Bit("coil", 0, "enabled"),
        Bit("discrete", 0, "running"),
        Bit("discrete", 1, "loaded"),
        Bit("discrete", 2, "hot"),
    ),
    writable=("pressure_setpoint", "enabled"),
)

CHILLER: Final = DeviceMap(
    registers=(
        Register("holding", 0, "supply_setpoint", "int16", 0.1),
        Register("input", 0, "supply_temperature", "float32", order="CDAB"),
        Register("input", 2, "return_temperature", "float32", order="CDAB"),
        Register("input", 4, "flow", "float32", order="CDAB"),
        Register("input", 6, "cooling_power", "float32", order="CDAB"),
        Register("input", 8, "power", "float32", order="CDAB"),
        Register("input", 10, "cop", "float32", order="CDAB"),
        Register("input", 20, "ambient_temperature", "int16", 0.1),
        Register("input", 21, "evaporating_temperature", "int16", 0.1),
        Register("input", 22, "condensing_temperature", "int16", 0.1),
        Register("input", 23, "evaporating_pressure", "uint16", 0.01),
        Register("input", 24, "condensing_pressure", "uint16", 0.01),
        Register("input", 25, "capacity", "uint16", 0.1),
        Register("input", 32, "running_hours", "uint32", order="CDAB"),
    ),
    bits=(Bit("discrete", 0, "running"), Bit("discrete", 1, "flow_ok")),
    writable=("supply_setpoint",),
)

# The vibration window: a snapshot of int16 samples; acceleration [m/s2] is sample times ten to the scale factor.
# The counter changes with the snapshot: who reads the same before and after has read one snapshot.
WAVEFORM_COUNTER: Final = 990  # uint32 ABCD
WAVEFORM_RATE: Final = 992  # uint16, Hz
WAVEFORM_SCALE: Final = 993  # int16, power of ten
WAVEFORM_SAMPLES: Final = 994  # uint16, number of samples
WAVEFORM_START: Final = 1_000

PUMP: Final = DeviceMap(
    registers=(
        Register("holding", 0, "speed", "float32"),
        Register("holding", 2, "flow", "float32"),
        Register("holding", 4, "suction_pressure", "float32"),
        Register("holding", 6, "discharge_pressure", "float32"),
        Register("holding", 8, "motor_current", "float32"),
        Register("holding", 10, "power", "float32"),
        Register("holding", 20, "velocity_rms", "float32", order="DCBA"),
        Register("holding", 22, "acceleration_rms", "float32", order="DCBA"),
        Register("holding", 24, "acceleration_peak", "float32", order="DCBA"),
        Register("holding", 26, "bearing_temperature", "float32", order="DCBA"),
        Register("holding", 28, "motor_temperature", "float32", order="BADC"),
        Register("holding", 40, "running_hours", "uint32"),
        Register("holding", 42, "starts", "uint16"),
    ),
    fields=(BitField("holding", 43, ("running", "tripped", "enabled")),),
    bits=(Bit("coil", 0, "enabled"), Bit("discrete", 0, "running"), Bit("discrete", 1, "tripped")),
    writable=("enabled",),
)

_PER_PHASE: Final = (
    (0, "voltage"),
    (6, "current"),
    (12, "power"),
    (18, "apparent_power"),
    (24, "reactive_power"),
    (30, "power_factor"),
    (36, "phase_angle"),
    (234, "thd_voltage"),
    (346, "import_energy"),
)
_TOTALS: Final = (
    (52, "power_total"),
    (56, "apparent_power_total"),
    (60, "reactive_power_total"),
    (62, "power_factor_total"),
    (66, "phase_angle_total"),
    (70, "frequency"),
    (72, "import_energy"),
    (74, "export_energy"),
    (76, "import_reactive_energy"),
    (78, "export_reactive_energy"),
    (342, "total_energy"),
    (344, "total_reactive_energy"),
)
# Eastron SDM630 Modbus: input registers, float32 big-endian, 0-based addresses.
ENERGY: Final = DeviceMap(
    registers=(
        *(
            Register("input", start + 2 * i, f"{name}_l{i + 1}", "float32")
            for start, name in _PER_PHASE
            for i in range(3)
        ),
        *(Register("input", address, name, "float32") for address, name in _TOTALS),
    ),
    dense=True,
)

MAPS: Final = {"energy": ENERGY, "compressor": COMPRESSOR, "chiller": CHILLER, "pump": PUMP}
