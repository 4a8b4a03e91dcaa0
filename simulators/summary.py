"""What the command prints when the plant is up: servers, scheduled faults, and how to switch one. Text only."""

from collections.abc import Mapping

from simulators.physics.calendar import DAY_S
from simulators.plantfile import DAYS, FaultSection, PlantFile

_BEHIND = {
    "opcua": "filler, capper, labeller, packer, vibration of the pump",
    "energy": "energy meter of the line, Eastron SDM630 map",
    "compressor": "compressed air",
    "chiller": "glycol chiller",
    "pump": "glycol pump with vibration",
}


def summary(file: PlantFile, addresses: Mapping[str, str], control: str, accelerate: float) -> str:
    """Return the summary; `addresses` maps those of the plant file to those bound."""
    lines = [f"{file.name}: {accelerate:g} simulated seconds per second, from {_week_time(file.start)}", "", "Servers"]
    lines += [f"  {addresses[getattr(file.servers, name)]:32} {text}" for name, text in _BEHIND.items()]
    if file.faults:
        lines += ["", "Scheduled faults, in real time from now"]
        lines += [f"  {_appointment(fault, accelerate)}" for fault in file.faults]
    return "\n".join(
        [
            *lines,
            "",
            "Switch a fault, or list them",
            f"  gateway simulate --control {control} on pump bearing_wear --severity 0.8",
            f"  gateway simulate --control {control} list",
            "",
            "Ctrl-C ends.",
        ]
    )


def _appointment(fault: FaultSection, accelerate: float) -> str:
    lasting = f", for {_span(fault.duration / accelerate)}" if fault.duration is not None else ""
    again = f", every {_span(fault.every / accelerate)}" if fault.every is not None else ""
    return f"after {_span(fault.at / accelerate):9} {fault.fault} of {fault.target}{lasting}{again}"


def _span(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.1f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


def _week_time(week_s: int) -> str:
    return f"{DAYS[week_s // DAY_S]} {week_s % DAY_S // 3600:02}:{week_s % 3600 // 60:02}"
