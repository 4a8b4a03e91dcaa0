"""An account: what one device owes and brings, minute by minute. The supervisor tells it what happens.

While a device answers, its connector counts the readings that each poll should bring; those that come bad have their
quality as the cause. While it is lost, the polls that would have been due count, and the cause is why it is lost.
"""

import errno
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from gateway.contracts import Connector, DeviceError, Polled
from gateway.ledger.row import MINUTE_NS, Gap, Row, minute_of
from gateway.model import Batch, Catalog
from gateway.model.quality import name

STOPPED: Final = "gateway stopped"
CHANGED: Final = "configuration changed"
NOT_YET: Final = "not connected yet"
SKIPPED: Final = "poll skipped: the one before was late"
BLOCKED: Final = "journal full: polls waited"
NOTIFICATIONS: Final = "notifications lost"
_OWED: Final = ("readings_due", "readings_skipped", "notifications_lost")
_SETTLED_NS_MAX: Final = 86_400_000_000_000
"""A clock that jumps by more than a day does not write a row for each of its minutes."""

Enter = Callable[[int, Row, bool], None]
"""Enters a row at a time; True says that it belongs to the record that was appended last."""


class Account:
    """One device. `enter` takes what there is to say; `blocks` tells how often the journal made devices wait."""

    def __init__(self, connector: Connector, catalog: Catalog, enter: Enter, blocks: Callable[[], int]) -> None:
        self.polls = tuple(connector.polls) if isinstance(connector, Polled) else ()
        self.current = NOT_YET
        self.leaves = STOPPED
        self._connector = connector
        self._causes: Mapping[int, str] = getattr(connector, "causes", {})
        self._catalog = catalog
        self._enter = enter
        self._blocks = blocks
        self._blocks_seen = 0
        self._since_ns = 0
        self._carry = [0.0] * len(self.polls)
        self._owed = 0
        self._seen: Counter[str] = Counter()

    def begin(self, now_ns: int) -> None:
        """Count from now on."""
        self._since_ns = now_ns
        self._news()

    def came(self, batches: Sequence[Batch], answered: bool, now_ns: int) -> None:
        """A run of the connector has emitted; `answered` says that the device itself spoke."""
        if self.current and not answered:
            return  # of a poll in a time that counts as lost
        due, skipped, notifications = self._news()
        if self.current:
            self.settle(now_ns)
            self.current = ""
        row = self._row(due + skipped)
        if skipped:
            row.gap(self._late(), Gap(skipped, times=1))
        if notifications:
            row.gap(NOTIFICATIONS, Gap(times=notifications))
        for batch in batches:
            if batch.quality.any():
                self._refusals(batch, row)
        if self.polls:
            self._owed = max(0, due - sum(map(len, batches)))
        self._enter(now_ns, row, any(map(len, batches)))

    def lost(self, error: Exception, now_ns: int) -> None:
        """A run of the connector has ended."""
        self._fail(cause_of(error), now_ns)

    def left(self, now_ns: int) -> None:
        """The device is not read any more; `leaves` says why."""
        self._fail(self.leaves, now_ns)

    def settle(self, now_ns: int) -> None:
        """Enter the polls that were due since the device was lost, or since it was settled last."""
        if not self.current:
            return
        at = max(self._since_ns, now_ns - _SETTLED_NS_MAX)
        while at < now_ns:
            until = min(now_ns, minute_of(at) + MINUTE_NS)
            missed = self._due((until - at) / 1e9)
            row = self._row(missed)
            row.gap(self.current, Gap(missed, (until - at) / 1e9))
            self._enter(at, row, False)
            at = until
        self._since_ns = now_ns

    def _fail(self, cause: str, now_ns: int) -> None:
        due, skipped, _ = self._news()
        if self.current:
            self.settle(now_ns)
        else:
            row = self._row(due + skipped)
            row.gap(cause, Gap(self._owed + due + skipped, times=1))
            self._enter(now_ns, row, False)
            self._since_ns, self._carry = now_ns, [0.0] * len(self.polls)
        self.current, self._owed = cause, 0

    def _row(self, expected: int) -> Row:
        return Row(expected if self.polls else None)

    def _due(self, seconds: float) -> int:
        """Readings of the polls that are due in some seconds; whole polls, the rest is carried on."""
        missed = 0
        for i, (period_s, readings) in enumerate(self.polls):
            polls = self._carry[i] + seconds / period_s
            self._carry[i] = polls % 1.0
            missed += int(polls) * readings
        return missed

    def _news(self) -> list[int]:
        """What the connector has counted since the last time: readings due, readings skipped, notifications lost."""
        counts = self._connector.counts
        news = [counts[key] - self._seen[key] for key in _OWED]
        self._seen.update(dict(zip(_OWED, news, strict=True)))
        return news

    def _late(self) -> str:
        """Why polls were skipped: the journal made them wait, or the device was slow."""
        blocks, self._blocks_seen = self._blocks_seen, self._blocks()
        return BLOCKED if blocks != self._blocks_seen else SKIPPED

    def _refusals(self, batch: Batch, row: Row) -> None:
        """Why readings are not good, and where that was seen first."""
        codes, first, counts = np.unique(batch.quality, return_index=True, return_counts=True)
        for code, at, n in zip(codes.tolist(), first.tolist(), counts.tolist(), strict=True):
            if code >= 0x4000_0000:
                where = self._catalog[int(batch.tag[at])].address.partition(" = ")
                row.gap(self._causes.get(code) or name(code), Gap(n, times=1, where=where[2] or where[0]))


def cause_of(error: Exception) -> str:
    """Return why a device is lost, in few words that are the same every time: causes are added up by them."""
    match error:
        case DeviceError():
            return f"device error: {name(error.quality)}"
        case TimeoutError():
            return "timeout"
        case OSError():
            return f"not connected: {errno.errorcode.get(error.errno or 0) or type(error).__name__}"
        case _:
            return f"a bug of the gateway: {type(error).__name__}"
