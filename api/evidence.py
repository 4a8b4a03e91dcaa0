"""Why a machine is said to be as it is: what each signal says, the tags with the largest shares, spectra."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from api import past
from api.condition import Conditions, Machine, Reading
from api.plant import Plant
from api.readings import moment, span
from gateway.contracts import Spectral
from gateway.payload import timestamps

_TAGS_MAX: Final = 4
_POINTS: Final = 400
_AMPLITUDES: Final = 2048
_LEAST_NS: Final = 300 * 10**9
_MOST_NS: Final = 86_400 * 10**9
"""A window is twice as long as the state has lasted, so that its beginning is in the middle; within these bounds."""


async def evidence(
    plant: Plant, conditions: Conditions, machine: Machine, condition: Mapping[str, Any], asked: tuple[str, str]
) -> dict[str, Any]:
    """Return contributions, window and spectra of a machine. Raises HTTPException 422 for a window that is none."""
    told = await conditions.latest(machine, [name for signal in machine.signals for name in _names(machine, signal)])
    contributions = [_contribution(machine, signal, told) for signal in machine.signals]
    start_ns, end_ns = _window(condition.get("since"), asked, plant.now_ns())
    begin, end = timestamps(np.array([start_ns, end_ns]))
    series = await _series(plant, machine, condition.get("shares", {}), contributions, (start_ns, end_ns))
    return {
        "contributions": contributions,
        "window": {"start": begin, "end": end, "series": series},
        "spectra": await _spectra(plant, conditions, machine),
    }


def _names(machine: Machine, signal: str) -> Sequence[str]:
    return [f"_alarm/{signal}", *(machine.tag(signal, role) for role in ("ratio", "cause", "evidence"))]


def _contribution(machine: Machine, signal: str, told: Mapping[str, Reading]) -> dict[str, Any]:
    alarm, ratio, cause, facts = (told.get(name) for name in _names(machine, signal))
    return {
        "signal": signal,
        "alarm": None if alarm is None else bool(alarm.value),
        "ratio": ratio.value if ratio is not None and ratio.good and np.isfinite(ratio.value) else None,
        "shares": _object(cause),
        "evidence": _object(facts),
    }


def _object(reading: Reading | None) -> dict[str, Any]:
    return reading.value if reading is not None and isinstance(reading.value, dict) else {}


def _window(since: str | None, asked: tuple[str, str], now_ns: int) -> tuple[int, int]:
    start, end = asked
    end_ns = moment(end, now_ns) if end else now_ns
    if start:
        return span(start, end or "now", now_ns)
    since_ns = int(datetime.fromisoformat(since).timestamp()) * 10**9 if since else end_ns
    return end_ns - min(max(2 * (end_ns - since_ns), _LEAST_NS), _MOST_NS), end_ns


async def _series(
    plant: Plant,
    machine: Machine,
    shares: Mapping[str, float],
    contributions: Sequence[Mapping[str, Any]],
    window: tuple[int, int],
) -> list[dict[str, Any]]:
    """The health, and the tags with the largest shares, the largest first."""
    facts = {tag: known for one in contributions if one["alarm"] for tag, known in one["evidence"].items()}
    shown: list[tuple[int, float | None, Mapping[str, Any]]] = [
        (machine.tags[f"_maintenance/{health}"], None, {}) for health in machine.healths[:1]
    ]
    for name, part in sorted(shares.items(), key=lambda one: -one[1])[:_TAGS_MAX]:
        paths = (f"{machine.asset}/{name}", f"{machine.asset}/_maintenance/{name}", name)
        tags = [plant.catalog.number(path) for path in paths if path in plant.catalog]
        shown += [(number, part, facts.get(name, {})) for number in tags[:1]]
    found = []
    for number, share, known in shown:
        about = plant.catalog[number]
        time, value = await _picture(plant, about.path, window)
        found.append(
            {
                "tag": about.path,
                "unit": about.unit,
                "share": share,
                "expected": known.get("expected"),
                "allowed": known.get("allowed"),
                "timestamp": timestamps(time),
                "value": value.tolist(),
            }
        )
    return found


async def _picture(plant: Plant, path: str, window: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Readings of a window, and before them the one that held when it began: signals tell what changes."""
    if not plant.keeps_history:
        return np.empty(0, np.int64), np.empty(0)
    start_ns, end_ns = window
    try:
        shown = (await plant.ask(past.picture, path, start_ns, end_ns, "minmax", _POINTS)).about
    except ValueError as error:
        raise HTTPException(422, f"{error}: ask for a shorter window") from None
    before = (await plant.ask(past.at, path, start_ns, True)).about
    parts = [(np.array([start_ns]), before.value)] if before is not None else []
    parts += [(shown.time, shown.value)] if shown is not None else []
    numbers = [(time, value.astype(np.float64)) for time, value in parts if value.dtype.kind in "biuf"]
    if not numbers:
        return np.empty(0, np.int64), np.empty(0)
    time, value = (np.concatenate(column) for column in zip(*numbers, strict=True))
    finite = np.isfinite(value)
    return time[finite], value[finite]


async def _spectra(plant: Plant, conditions: Conditions, machine: Machine) -> list[dict[str, Any]]:
    found = []
    for name, signal in plant.spectral(machine.asset).items():
        if signal.waveform is None:
            continue
        (batch,) = plant.latest.read(np.array([signal.waveform], np.uint32))
        if batch.good[0] and isinstance(batch.value[0], np.ndarray) and len(batch.value[0]) > 1:
            lines = await conditions.latest(machine, [machine.tag(name, "lines")])
            path, time = plant.catalog[signal.waveform].path, timestamps(batch.time)[0]
            shown = await plant.work(_spectrum, signal, batch.value[0])
            facts = _object(next(iter(lines.values()), None))
            known = {fault: line for fault, line in facts.items() if isinstance(line, dict)}
            about = {"shaft": facts.get("shaft_hertz"), "lines": known}
            found.append({"signal": name, "tag": path, "timestamp": time, **about, **shown})
    return found


def _spectrum(signal: Spectral, samples: NDArray[Any]) -> dict[str, Any]:
    """The amplitudes of a waveform; where there are too many, the largest of some that lie together."""
    amplitude, step_hz = signal.spectrum(samples.astype(np.float64))
    wide = -(-len(amplitude) // _AMPLITUDES)
    padded = np.pad(amplitude, (0, -len(amplitude) % wide))
    return {"step": wide * step_hz, "amplitude": padded.reshape(-1, wide).max(axis=1).tolist()}
