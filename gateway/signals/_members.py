"""What other signals say of an asset, for those that make one statement of it: health, advice.

A member is a signal by its name: `_alarm/<name>` says whether it is in alarm, `_maintenance/<name>_ratio` or
`_maintenance/<name>` how far it is from its limit (1 is the limit), `_maintenance/<name>_cause` the share of each tag,
`_maintenance/<name>_evidence` what each tag is and should be. All but the first may be lacking. Statements are taken
in the order in which they were made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gateway.model import Batch, Catalog, Kind

_OLD_NS: Final = 600_000_000_000
"""A ratio that is older than this is not known any more."""


@dataclass(slots=True)
class Member:
    """The latest of a signal."""

    name: str
    alarm: bool = False
    ratio: float = np.nan
    time_ns: int = 0
    cause: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, Any]] | None = None

    def known(self, now_ns: int) -> bool:
        return not np.isnan(self.ratio) and now_ns - self.time_ns <= _OLD_NS


class Members:
    """The signals of these names of an asset; `inputs` are the numbers of all that they say."""

    def __init__(self, asset: str, names: Sequence[str], catalog: Catalog) -> None:
        self.all = [Member(name) for name in names]
        self._place: dict[int, tuple[int, str]] = {}
        for i, name in enumerate(names):
            found = {"alarm": f"_alarm/{name}"} | {role: _path(asset, name, role, catalog) for role in _ROLES}
            for role, tag in found.items():
                if tag:
                    self._place[catalog.number(f"{asset}/{tag}")] = (i, role)
        self.inputs = np.array(list(self._place), np.uint32)

    def take(self, batch: Batch) -> Iterator[int]:
        """Take what was said; yield the time of each statement that was a number, once it has been taken [ns]."""
        kept = batch.where(batch.good)
        number = batch.kind is not Kind.OBJECT
        for tag, time, value in zip(kept.tag.tolist(), kept.time.tolist(), kept.value.tolist(), strict=True):
            if tag not in self._place:
                continue
            i, role = self._place[tag]
            member = self.all[i]
            if role == "ratio":
                member.ratio, member.time_ns = abs(value), time
            elif role == "alarm":
                member.alarm = bool(value)
            elif isinstance(value, dict):
                setattr(member, role, value)
            if number:
                yield time


_ROLES: Final = ("ratio", "cause", "evidence")


def _path(asset: str, name: str, role: str, catalog: Catalog) -> str:
    """The tag with which a signal says that; empty if it does not."""
    tags = [f"_maintenance/{name}_{role}", *([f"_maintenance/{name}"] if role == "ratio" else [])]
    return next((tag for tag in tags if f"{asset}/{tag}" in catalog), "")
