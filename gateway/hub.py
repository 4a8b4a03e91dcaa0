"""The hub: where every emission goes first, and from where it goes on. It never waits and never fails.

    emit --> journal                 for whoever must not miss anything
         --> latest table            for whoever wants to know how things are now, and in which record that is
         --> mailboxes               for retained topics and subscriptions, which may

It knows tags only as numbers of assets.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from gateway.journal import Journal
from gateway.latest import Latest
from gateway.model import Batch, Catalog


class Inbox(Protocol):
    """Takes what was emitted. Neither waits nor raises."""

    def put(self, batches: Sequence[Batch]) -> None: ...


class Hub:
    """One per process; an Emit."""

    def __init__(self, catalog: Catalog, latest: Latest, journal: Journal) -> None:
        self._catalog = catalog
        self._latest = latest
        self._journal = journal
        self._mailboxes: list[Inbox] = []

    def __call__(self, *batches: Batch) -> None:
        batches = tuple(batch for batch in batches if len(batch))
        if not batches:
            return
        for asset, parts in self._by_asset(batches):
            record = self._journal.append(asset, parts)
            for batch in parts:
                self._latest.update(batch, record.sequence, record.received)
        for mailbox in self._mailboxes:
            mailbox.put(batches)

    def join(self, mailbox: Inbox) -> None:
        """Send what is emitted from now on to the mailbox as well."""
        self._mailboxes.append(mailbox)

    def leave(self, mailbox: Inbox) -> None:
        """Stop sending to the mailbox, which may be in the middle of a `put`."""
        self._mailboxes = [one for one in self._mailboxes if one is not mailbox]

    def _by_asset(self, batches: Sequence[Batch]) -> list[tuple[int, Sequence[Batch]]]:
        """Split by asset. A device has one, so that is one comparison; signals may have many."""
        assets = [self._catalog.asset_of[batch.rows] for batch in batches]
        first = int(assets[0][0])
        if all((asset == first).all() for asset in assets):
            return [(first, batches)]
        return [
            (int(number), [b.where(a == number) for b, a in zip(batches, assets, strict=True) if (a == number).any()])
            for number in np.unique(np.concatenate(assets))
        ]
