"""What is read from a broker: a source has topics, hears their messages and tells what they mean."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Emit
from gateway.model import Batch
from gateway.mqtt import Mqtt

log = logging.getLogger(__name__)

_REMARKS_MAX: Final = 50

COUNTS: Final = (
    "messages", "messages_dropped", "malformed", "too_large", "retained", "repeated", "late", "stale", "gaps",
    "replayed", "lost_messages", "rebirths",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came."""

    topic: str
    payload: bytes
    retained: bool


class Source(Protocol):
    """Part of a device: its sensors, the batches of another gateway, or an edge node."""

    @property
    def filters(self) -> Sequence[str]:
        """The topics it wants to hear."""
        ...

    async def begin(self) -> None:
        """Forget what only concerned the last connection; there is none yet."""
        ...

    def refused(self, topic: str, emit: Emit) -> None:
        """Take note that the broker refuses the subscription to one of the filters."""
        ...

    def hear(self, messages: Sequence[Heard], emit: Emit) -> None:
        """Tell what messages say that arrived together, those of other sources among them."""
        ...

    async def tend(self, mqtt: Mqtt, emit: Emit) -> None:
        """Do what is to be done without a message: ask for what is missing, find what is silent. Until cancelled."""
        ...


class Remarks:
    """What people should know of a device: said once in the log, listed as long as it holds.

    A sensor that is wrong every other time is listed and no more often logged.
    """

    def __init__(self, device: str, learned: dict[str, Any]) -> None:
        self._device = device
        self._learned = learned
        self._hold: dict[str, str] = {}
        self._logged: set[str] = set()

    def say(self, subject: str, text: str) -> None:
        if subject not in self._hold and subject not in self._logged:
            self._logged.add(subject)
            log.warning("device %s: %s: %s", self._device, subject, text)
        self._hold[subject] = text
        self._learned["remarks"] = [f"{about}: {what}" for about, what in self._hold.items()][:_REMARKS_MAX]

    def over(self, subject: str) -> None:
        if self._hold.pop(subject, ""):
            self._learned["remarks"] = [f"{about}: {what}" for about, what in self._hold.items()][:_REMARKS_MAX]


@dataclass(frozen=True, slots=True)
class Books:
    """Where a source writes what it counts and remarks."""

    counts: Counter[str]
    remarks: Remarks


def without_value(tags: NDArray[np.uint32], now_ns: int, quality: int) -> Batch:
    """Return these tags as readings without a value."""
    return Batch.of(tags, now_ns, np.full(len(tags), np.nan), quality)
