"""How often somebody may do something. Bounded tables, whoever comes; time comes in, in seconds of a steady clock."""

from collections import OrderedDict
from ipaddress import ip_address
from typing import Final

KNOWN_MAX: Final = 10_000
"""Names or addresses that are remembered; then those are forgotten that did nothing for longest."""
_FORGET_S: Final = 3600.0
_WAIT_S_MAX: Final = 300.0


class Rate:
    """A bucket for each key, which holds `burst` and gains `per_s`."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Take one and return 0; if there is none, how long until there is."""
        left, at_s = self._buckets.pop(key, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        taken = left >= 1.0
        self._buckets[key] = (left - taken, now_s)
        if len(self._buckets) > KNOWN_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - left) / self._per_s


class Throttle:
    """Makes whoever fails wait: not for `free` failures, then 1, 2, 4 ... 300 s. An hour without one is a new start."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """How long a key has to wait before it may try; 0 if it may."""
        failures, last_s = self._failed.get(key, (0, now_s))
        over = failures - self._free
        pause = min(_WAIT_S_MAX, 2.0 ** min(over, 16)) if over >= 0 else 0.0
        return max(0.0, last_s + pause - now_s)

    def failed(self, key: str, now_s: float) -> None:
        failures, last_s = self._failed.pop(key, (0, now_s))
        self._failed[key] = (1 if now_s - last_s > _FORGET_S else failures + 1, now_s)
        if len(self._failed) > KNOWN_MAX:
            self._failed.popitem(last=False)

    def passed(self, key: str) -> None:
        """Forget the failures of a key."""
        self._failed.pop(key, None)

    def forgive(self, key: str) -> None:
        """Take one failure of a key back; all of them, and whoever knows one password could guess others."""
        failures, last_s = self._failed.get(key, (1, 0.0))
        self._failed[key] = (failures - 1, last_s)


def neighbourhood(address: str) -> str:
    """Return what stands for an address in these tables: of IPv6 the /64, for all of it is one customer's."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(found.ipv4_mapped or ip_address(int(found) >> 64 << 64))
