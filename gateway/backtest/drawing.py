"""Pictures of a backtest: SVG, made of text, its colours by the style of the page. Pure.

Shaded is what really was wrong, a band is what a tag may be, dashed lines are when something was raised and cleared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.backtest.figures import moment
from gateway.historian.chunk import Readings

Ask = Callable[[str, int, int], Readings | None]
Stretch = tuple[int, int | None]
"""Begin and end [ns], None if it has none."""

_WIDTH: Final = 960
_LEFT, _RIGHT = 170, 12
_ROW: Final = 20
_HEIGHT: Final = 90
"""Of a plot; below each is a gap, and its name."""
_GAP: Final = 26
_FOOT: Final = 22


@dataclass(frozen=True, slots=True)
class Row:
    """What a signal raised, and what was wrong meanwhile."""

    name: str
    faults: Sequence[Stretch]
    findings: Sequence[Stretch]


@dataclass(frozen=True, slots=True)
class Plot:
    """A tag, and what it should have been when something was raised, if that is known: `expected` +- `allowed`."""

    name: str
    readings: Readings | None
    expected: float | None
    allowed: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A finding, with the time around it."""

    start_ns: int
    end_ns: int
    raised_ns: int
    cleared_ns: int | None
    faults: Sequence[Stretch]
    plots: Sequence[Plot]


def rows(rows: Sequence[Row], start_ns: int, end_ns: int) -> str:
    """Return a picture with a row for each signal."""
    across = _Across(start_ns, end_ns)
    parts = []
    for i, row in enumerate(rows):
        y = i * _ROW
        parts.append(f'<text x="0" y="{y + 14}">{escape(row.name)}</text>')
        parts += [_bar(across, one, y, _ROW, "true") for one in row.faults]
        parts += [_bar(across, one, y + 6, 8, "on") for one in row.findings]
    height = len(rows) * _ROW
    return _svg(height + _FOOT, "when each signal had raised something", [*parts, *_ends(across, height)])


def drawn(picture: Picture) -> str:
    """Return the picture of a finding; nothing if it is about no tag."""
    across = _Across(picture.start_ns, picture.end_ns)
    parts = [
        part for i, plot in enumerate(picture.plots) for part in _plot(across, picture, plot, i * (_HEIGHT + _GAP))
    ]
    height = len(picture.plots) * (_HEIGHT + _GAP)
    names = ", ".join(plot.name for plot in picture.plots)
    return (
        _svg(height + _FOOT, f"{names} around {moment(picture.raised_ns)}", [*parts, *_ends(across, height)])
        if parts
        else ""
    )


class _Across:
    """From times to places; what is outside is at the edge."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = start_ns, end_ns

    def __call__(self, time_ns: int | None) -> float:
        share = 1.0 if time_ns is None else (time_ns - self.start_ns) / max(self.end_ns - self.start_ns, 1)
        return round(_LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)


def _plot(across: _Across, picture: Picture, plot: Plot, top: float) -> Iterator[str]:
    top += _GAP - 8
    yield f'<text x="{_LEFT}" y="{top - 5}">{escape(plot.name)}</text>'
    yield from (_bar(across, one, top, _HEIGHT, "true") for one in picture.faults)
    width = _WIDTH - _LEFT - _RIGHT
    if plot.readings is None:
        yield f'<text class="faint" x="{_LEFT + 8}" y="{top + _HEIGHT / 2}">no readings in history</text>'
    else:
        low, high = _range(plot.readings.value, plot.expected, plot.allowed)

        def down(value: float) -> float:
            return round(top + _HEIGHT * (1 - (value - low) / (high - low)), 1)

        if plot.expected is not None:
            upper, lower = down(plot.expected + (plot.allowed or 0.0)), down(plot.expected - (plot.allowed or 0.0))
            yield f'<rect class="band" x="{_LEFT}" y="{upper}" width="{width}" height="{round(lower - upper, 1)}"/>'
            yield f'<path class="should" d="M{_LEFT} {down(plot.expected)}h{width}"/>'
        pairs = zip(plot.readings.time.tolist(), plot.readings.value.tolist(), strict=True)
        points = " ".join(f"{across(time)},{down(value)}" for time, value in pairs)
        yield f'<polyline class="line" points="{points}"/>'
        yield f'<text class="faint" x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{high:.4g}</text>'
        yield f'<text class="faint" x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">{low:.4g}</text>'
    for edge_ns in (picture.raised_ns, picture.cleared_ns):
        if edge_ns is not None and picture.start_ns < edge_ns < picture.end_ns:
            yield f'<path class="mark" d="M{across(edge_ns)} {top}v{_HEIGHT}"/>'
    yield f'<rect class="frame" x="{_LEFT}" y="{top}" width="{width}" height="{_HEIGHT}"/>'


def _range(value: NDArray[np.float64], expected: float | None, allowed: float | None) -> tuple[float, float]:
    """Lowest and highest of what is shown, and a little more."""
    more = [] if expected is None else [expected - (allowed or 0.0), expected + (allowed or 0.0)]
    low, high = min([float(value.min()), *more]), max([float(value.max()), *more])
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _bar(across: _Across, stretch: Stretch, y: float, height: float, kind: str) -> str:
    """A stretch of time, nothing of it if it is outside."""
    start_ns, end_ns = stretch
    if start_ns >= across.end_ns or (end_ns is not None and end_ns < across.start_ns):
        return ""
    width = max(round(across(end_ns) - across(start_ns), 1), 1.5)
    title = f"{moment(start_ns)} to {'now' if end_ns is None else moment(end_ns)}"
    return (
        f'<rect class="{kind}" x="{across(start_ns)}" y="{y}" width="{width}" height="{height}">'
        f"<title>{title}</title></rect>"
    )


def _ends(across: _Across, height: float) -> Iterator[str]:
    y = height + 16
    yield f'<text class="faint" x="{_LEFT}" y="{y}">{moment(across.start_ns)}</text>'
    yield f'<text class="faint" x="{_WIDTH - _RIGHT}" y="{y}" text-anchor="end">{moment(across.end_ns)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>'
    return f"{head}{''.join(parts)}</svg>"
