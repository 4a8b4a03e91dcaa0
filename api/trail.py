"""The audit trail, as the application hands it in: written to by whoever acts, and read page by page."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.audit import Audit


class Entry(Protocol):
    """One of its records, with what it says."""

    @property
    def n(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...


class Trail(Audit, Protocol):
    """The audit trail, which can be read."""

    async def page(
        self, before: int | None, limit: int, who: str = "", action: str = ""
    ) -> tuple[Sequence[Entry], int | None]:
        """Return records older than one, newest first, and from where to go on. Raises OSError."""
        ...
