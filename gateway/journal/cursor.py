"""A cursor: how far somebody has read the journal."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.model import Record

After = Callable[[int], Awaitable[tuple[Sequence[Record], int]]]


class Cursor:
    """A reader of the journal whose place survives restarts.

    `position` is confirmed: the record there, and all before it, will not be read again.
    """

    def __init__(
        self, after: After, appended: Callable[[], int], position: int, delivered: Callable[[Sequence[Record]], None]
    ) -> None:
        self.position = position
        self._after = after
        self._appended = appended
        self._delivered = delivered
        self._handed: Sequence[Record] = ()
        self._reached = position

    @property
    def behind(self) -> int:
        """How many records have been appended that are not confirmed."""
        return self._appended() - self.position

    async def next(self) -> Sequence[Record]:
        """Return the records after the confirmed ones, as many as come at once; none at the end of the journal."""
        while True:
            self._handed, self._reached = await self._after(self.position)
            if self._handed or self._reached == self.position:
                return self._handed
            self.confirm()  # what was there has been trimmed or is damaged

    def confirm(self) -> None:
        """Say that what `next` returned last has arrived at the far side."""
        self.position = self._reached
        self._delivered(self._handed)
        self._handed = ()
