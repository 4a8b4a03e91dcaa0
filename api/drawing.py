"""The evidence of a machine as a picture: SVG, made of text. Pure; what comes from a plant is escaped.

Below each other: what is said and since when, the tags with the largest shares in their window with what they should
be, spectra with the lines of a bearing. Nothing is told by colour alone. It has attributes and no style sheet, so that
it looks the same wherever it is allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import pairwise
from typing import Any, Final

_WIDTH: Final = 720
_LEFT, _RIGHT = 64, 16
_HEIGHT: Final = 96
"""Of one plot; below each are its axis and a gap."""
_GAP: Final = 52
_TOP: Final = 72
_HARMONICS: Final = 5.5
"""Of the fastest fault: so far a spectrum is shown."""
_INK, _FAINT, _LINE, _MARK = "#1d2733", "#5b6877", "#1f5fa8", "#b3261e"

Points = Sequence[tuple[float, float]]


def drawn(machine: Mapping[str, Any]) -> bytes:
    """Return the picture of what GET /api/v1/maintenance/{asset} says (api/maintenance.py, Detail), UTF-8."""
    plots = [*_window(machine, machine["window"]), *map(_spectrum, machine["spectra"])]
    height = _TOP + len(plots) * (_HEIGHT + _GAP)
    title, said = _title(machine)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' role="img" font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">',
        f"<title>{_escaped(title)}</title><desc>{_escaped(said)}</desc>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 26, title, size=16),
        _text(16, 46, said, fill=_FAINT),
    ]
    for at, plot in enumerate(plots):
        parts.append(f'<g transform="translate({_LEFT} {_TOP + at * (_HEIGHT + _GAP)})">{"".join(plot)}</g>')
    return ("".join(parts) + "</svg>").encode("utf-8", "replace")


def _title(machine: Mapping[str, Any]) -> tuple[str, str]:
    health = "" if machine["health"] is None else f", health {machine['health']:.0f} of 100"
    since = f"since {machine['since']}" if machine["since"] else "nothing was told yet"
    shares = list(machine["shares"].items())[:3]
    causes = ", ".join(f"{tag.removeprefix('_maintenance/')} {share:.0%}" for tag, share in shares)
    return f"{machine['asset']}: {machine['state']}{health}", f"{since}{': ' if causes else ''}{causes}"


def _window(machine: Mapping[str, Any], window: Mapping[str, Any]) -> Iterator[list[str]]:
    start, end = (_seconds(window[edge]) for edge in ("start", "end"))
    for one in window["series"]:
        name = one["tag"].removeprefix(f"{machine['asset']}/").removeprefix("_maintenance/")
        share = "" if one["share"] is None else f", {one['share']:.0%} of the cause"
        points = list(zip(map(_seconds, one["timestamp"]), one["value"], strict=True))
        if points:
            points.append((end, points[-1][1]))  # it is what it was, until now
        span = (0.0, 100.0) if one["share"] is None else _span(points, one["expected"], one["allowed"])
        scale = _Scale((start, end), span)
        yield [
            _caption(f"{name} [{one['unit'] or '1'}]{share}"),
            *_expected(scale, one["expected"], one["allowed"]),
            *_frame(scale, (_clock(window["start"]), _clock(window["end"]))),
            *_since(scale, machine["since"]),
            _path(scale, _stairs(points) if one["share"] is None else points),
        ]


def _spectrum(spectrum: Mapping[str, Any]) -> list[str]:
    step = spectrum["step"]
    known = [line["hertz"] for line in spectrum["lines"].values()]
    most_hz = _HARMONICS * max(known) if known else float("inf")
    points = [(i * step, value) for i, value in enumerate(spectrum["amplitude"]) if i * step <= most_hz]
    top = max((value for _, value in points), default=0.0) or 1.0
    scale = _Scale((0.0, max(len(points) - 1, 1) * step), (0.0, top))
    found = [
        _caption(f"{spectrum['signal']}: spectrum of the squared envelope [(m/s2)^2], {spectrum['timestamp'][:19]}Z"),
        *_frame(scale, ("0 Hz", f"{scale.x[1]:.0f} Hz")),
        _path(scale, points),
    ]
    for row, (fault, line) in enumerate(spectrum["lines"].items()):
        found += [_upright(scale, line["hertz"] * harmonic) for harmonic in range(1, max(line["harmonics"], 1) + 1)]
        n = line["harmonics"]
        clear = f"{line['amplitude']:.2g} m/s2 in {n} line{'s' if n > 1 else ''}" if n else "nothing there"
        told = f"{fault} {line['hertz']:.0f} Hz: {clear}"
        found.append(_text(_WIDTH - _LEFT - _RIGHT - 6, 14 + 14 * row, told, fill=_MARK, anchor="end"))
    return found


class _Scale:
    """From numbers to places in a plot."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def across(self, x: float) -> float:
        share = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        return round(min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)

    def down(self, y: float) -> float:
        share = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return round((1.0 - min(max(share, 0.0), 1.0)) * _HEIGHT, 1)


def _span(points: Points, expected: float | None, allowed: float | None) -> tuple[float, float]:
    """Lowest and highest of what is shown, and a little more."""
    values = [value for _, value in points]
    if expected is not None:
        values += [expected - (allowed or 0.0), expected + (allowed or 0.0)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    more = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - more, high + more


def _stairs(points: Points) -> Points:
    """What holds until the next is said."""
    corners = [corner for (_, y), (x, then) in pairwise(points) for corner in ((x, y), (x, then))]
    return [*points[:1], *corners]


def _path(scale: _Scale, points: Points) -> str:
    if not points:
        return _text(8, _HEIGHT / 2, "no readings in history", fill=_FAINT)
    places = " ".join(f"{scale.across(x)},{scale.down(y)}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'


def _expected(scale: _Scale, expected: float | None, allowed: float | None) -> Iterator[str]:
    """A band of what is allowed, and in it what the tag should be."""
    if expected is None:
        return
    width, middle = _WIDTH - _LEFT - _RIGHT, scale.down(expected)
    top, bottom = scale.down(expected + (allowed or 0.0)), scale.down(expected - (allowed or 0.0))
    yield f'<rect y="{top}" width="{width}" height="{round(bottom - top, 1)}" fill="#e4ebf3"/>'
    yield f'<path d="M0 {middle}H{width}" stroke="{_FAINT}" stroke-dasharray="6 4"/>'
    yield _text(6, middle - 4, f"expected {expected:.4g}", fill=_FAINT)


def _since(scale: _Scale, since: str | None) -> Iterator[str]:
    if since and scale.x[0] < _seconds(since) < scale.x[1]:
        yield _upright(scale, _seconds(since))
        yield _text(scale.across(_seconds(since)) + 4, _HEIGHT - 6, "since", fill=_MARK)


def _upright(scale: _Scale, x: float) -> str:
    return f'<path d="M{scale.across(x)} 0V{_HEIGHT}" stroke="{_MARK}" stroke-dasharray="2 3"/>'


def _frame(scale: _Scale, ends: tuple[str, str]) -> Iterator[str]:
    """The axes: lowest and highest number, begin and end."""
    width = _WIDTH - _LEFT - _RIGHT
    yield f'<rect width="{width}" height="{_HEIGHT}" fill="none" stroke="#c4ccd6"/>'
    yield _text(-6, 10, f"{scale.y[1]:.4g}", fill=_FAINT, anchor="end")
    yield _text(-6, _HEIGHT, f"{scale.y[0]:.4g}", fill=_FAINT, anchor="end")
    yield _text(0, _HEIGHT + 15, ends[0], fill=_FAINT)
    yield _text(width, _HEIGHT + 15, ends[1], fill=_FAINT, anchor="end")


def _caption(text: str) -> str:
    return _text(0, -6, text)


def _text(x: float, y: float, text: str, *, size: int = 12, fill: str = _INK, anchor: str = "start") -> str:
    place = f'x="{x}" y="{y}" font-size="{size}" fill="{fill}" text-anchor="{anchor}"'
    return f"<text {place}>{_escaped(text)}</text>"


def _escaped(text: str) -> str:
    """A text without markup, and without what XML cannot have at all (XML 1.0, 2.2)."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _clock(moment: str) -> str:
    return moment[:19].replace("T", " ") + " UTC"
