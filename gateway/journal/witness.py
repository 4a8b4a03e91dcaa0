"""Whoever keeps books on the journal: told of every record on its way. The journal does not know who it is."""

from collections.abc import Sequence
from typing import Protocol

from gateway.model import Record


class Witness(Protocol):
    """Is told on the event loop's thread, and does not wait."""

    def appended(self, record: Record) -> None: ...

    def committed(self, records: Sequence[Record]) -> None:
        """They survive the death of the process from now on."""
        ...

    def delivered(self, cursor: str, records: Sequence[Record]) -> None:
        """The far side of a cursor has confirmed them."""
        ...

    def lost(self, reason: str, record: Record, cursors: Sequence[str]) -> None:
        """It is gone before these cursors had it; without cursors, before it was committed."""
        ...


class Nobody:
    """A Witness that keeps no books."""

    def appended(self, record: Record) -> None: ...
    def committed(self, records: Sequence[Record]) -> None: ...
    def delivered(self, cursor: str, records: Sequence[Record]) -> None: ...
    def lost(self, reason: str, record: Record, cursors: Sequence[str]) -> None: ...
