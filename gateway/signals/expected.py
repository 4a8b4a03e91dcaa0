"""Expected: a tag is not what it should be, the way the machine is run now; or it stays the same to the last digit.

    signals:
      chiller_expected:
        {type: expected, asset: utilities/chiller1, tags: [condensing_temperature, cop],
         drivers: [capacity, ambient_temperature], when: "capacity > 5"}

For each way of running, told apart by the values of `regimes` (a recipe, a set point), it learns from good rows what
each tag is at each value of the `drivers` (`_state_detection/expected.py`). From then on it tells how far an average of
the last rows is from that, in units of what is allowed: a multiple of what is usual, and no less than a share of the
level. Where the drivers are beyond all that was learned nothing is judged, and that is learned too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gateway.model import Catalog, Tag
from gateway.signals import _asset
from gateway.signals._state_detection.expected import Expected, Settings
from gateway.signals._state_detection.rest import Rest

_CALM: Final = 0.5
"""A tag whose ratio is less is well again, or about to be."""
_REGIMES_MAX: Final = 20
"""Ways of running that are remembered; the one that was learned first makes room for another."""


class Options(_asset.AssetOptions):
    """Keys of a signal that knows what tags should be; the lengths are in ticks."""

    drivers: list[str] = Field(default=[], max_length=6, description="tags that say how much the machine has to do")
    regimes: list[str] = Field(default=[], max_length=4, description="tags whose values tell ways of running apart")
    warm_up: int = Field(default=120, ge=30, le=10_000, description="rows to learn a way of running from")
    limit: float = Field(default=6.0, gt=0, description="how many times the usual deviation is allowed")
    band: float = Field(default=0.05, ge=0, description="share of its level by which a tag may always deviate")
    bands: dict[str, float] = Field(default={}, description="the same for single tags, in their unit")
    on: int = Field(default=5, ge=1, description="rows beyond the limit that raise the alarm of a tag")
    off: int = Field(default=30, ge=1, description="rows with less than half of it that clear it")
    stuck: int = Field(default=20, ge=3, description="so many rows without any change, at least, are a stuck sensor")
    adopt: int = Field(
        default=86_400, ge=60, description="rows in alarm after which the way of running is learned anew"
    )

    @property
    def beside(self) -> Sequence[str]:
        return [*self.drivers, *self.regimes, *super().beside]


def outputs(name: str, options: Options, asset: str) -> Mapping[str, Tag]:
    what = "a tag is not what it should be"
    evidence = Tag(asset, f"_maintenance/{name}_evidence", description=f"{what}: each tag, and what it should be")
    return {**_asset.outputs(name, what, asset), "evidence": evidence}


def signal(options: Options, outputs: Mapping[str, int], catalog: Catalog) -> _asset.AssetSignal:
    return _asset.AssetSignal(Watch(options, catalog), options, outputs, catalog)


class Watch:
    """What n tags should be in each way of running; the alarms of all of them as one."""

    def __init__(self, options: Options, catalog: Catalog) -> None:
        names = list(_asset.columns(options, catalog))
        n = self._n = len(_asset.watched(options, catalog))
        self._options = options
        self._drivers = [names.index(name) for name in options.drivers]
        self._regimes = [names.index(name) for name in options.regimes]
        self._bands = np.array([options.bands.get(name, np.nan) for name in names[:n]])
        self._known: dict[tuple[float, ...], Expected] = {}
        self._now: Expected | None = None
        self._settled = 0
        self._row = np.full(n, np.nan)
        self._rest = Rest(n, options.warm_up, options.stuck)
        self._streak = np.zeros(n, np.int64)
        self._lasted = 0
        self.guilty = np.zeros(n, np.bool_)

    @property
    def ratio(self) -> float:
        ratios = self._ratios[~np.isnan(self._ratios)]
        return float(ratios.max()) if len(ratios) else np.nan

    @property
    def alarm(self) -> bool:
        return bool(self.guilty.any())

    @property
    def shares(self) -> NDArray[np.float64]:
        part = np.where(self.guilty, np.nan_to_num(self._ratios), 0.0)
        return part / max(float(part.sum()), np.finfo(np.float64).tiny)

    @property
    def _ratios(self) -> NDArray[np.float64]:
        return np.fmax(self._now.ratio, self._rest.ratio) if self._now is not None else self._rest.ratio

    def evidence(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Return what each tag in alarm is, what it should be, and what is allowed."""
        guilty = np.flatnonzero(self.guilty & (self._ratios >= _CALM)).tolist()
        return {names[i]: self._finding(i) for i in guilty}

    def _finding(self, i: int) -> Mapping[str, Any]:
        stuck, now = bool(self._rest.ratio[i] >= 1), self._now
        found: dict[str, Any] = {"is": _told(self._row[i]), "ratio": _told(self._ratios[i]), "looks": "stuck"}
        if now is not None and not stuck:
            looks = "high" if now.deviation[i] > 0 else "low"
            found |= {"expected": _told(now.should[i]), "allowed": _told(now.allowed[i]), "looks": looks}
        return found

    def step(self, row: _asset.Row) -> None:
        self._row, judged = row.value[: self._n], row.judged
        self._rest.look(self._row, row.runs)
        if self._now is not None:
            self._now.idle()
        tags, drivers, regimes = judged[: self._n], judged[self._drivers], judged[self._regimes]
        if np.isnan(drivers).any() or np.isnan(regimes).any() or np.isnan(tags).all():
            if self._now is not None:
                self._now.begin()
            self._decide(None)
            return
        regime = self._regime(tuple(regimes.round(6).tolist()))
        if self._settled < self._options.settle:
            self._settled += 1
        else:
            regime.step(tags, drivers, calm=not self.alarm)
        self._decide(regime)

    def _regime(self, key: tuple[float, ...]) -> Expected:
        """The way of running of this row; after a change the machine has to settle in it."""
        if key not in self._known:
            o = self._options
            if len(self._known) == _REGIMES_MAX:
                del self._known[next(iter(self._known))]
            settings = Settings(warm_up=o.warm_up, limit=o.limit, band=o.band)
            self._known[key] = Expected(self._bands, len(self._drivers), settings)
        if self._now is not self._known[key]:
            self._now = self._known[key]
            self._now.begin()
            self._settled = 0
            self._streak[:] = 0
        return self._now

    def _decide(self, regime: Expected | None) -> None:
        ratio = self._ratios
        contrary = np.where(self.guilty, ratio < _CALM, ratio > 1.0)
        self._streak = np.where(np.isnan(ratio), self._streak, np.where(contrary, self._streak + 1, 0))
        turned = self._streak >= np.where(self.guilty, self._options.off, self._options.on)
        self.guilty = self.guilty ^ turned
        self._streak[turned] = 0
        self._lasted = self._lasted + 1 if self.alarm else 0
        if self._lasted >= self._options.adopt:
            self._known = {key: one for key, one in self._known.items() if one is not regime}
            self._now, self._lasted, self.guilty = None, 0, np.zeros(self._n, np.bool_)


def _told(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None
