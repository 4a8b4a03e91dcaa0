"""What has been sent and not been answered yet, by packet identifier. Pure but for the futures that are waited for.

Messages that wait together are counted together: a PUBACK is one look into a dictionary.
"""

import asyncio
from typing import Final

_IDENTIFIERS: Final = 0xFFFF


class Group:
    """Packets that are waited for together."""

    def __init__(self, unconfirmed: int) -> None:
        self.unconfirmed = unconfirmed
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._error: Exception | None = None

    def confirm(self) -> None:
        self.unconfirmed -= 1
        if self.unconfirmed or self.done.done():
            return
        if self._error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self._error)

    def refuse(self, error: Exception) -> None:
        """One of them is refused; the others are in flight until something is known of them too."""
        self._error = self._error or error
        self.confirm()


class Flight:
    """Gives identifiers, and takes them back."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}
        self._last = 0

    def number(self, group: Group) -> int:
        """Give the next identifier that is not in use to something that the group waits for (2.3.1)."""
        number = self._last % _IDENTIFIERS + 1
        while number in self._groups:
            number = number % _IDENTIFIERS + 1
        self._last = number
        self._groups[number] = group
        return number

    def confirm(self, number: int) -> None:
        if (group := self._groups.pop(number, None)) is not None:
            group.confirm()

    def refuse(self, number: int, error: Exception) -> None:
        if (group := self._groups.pop(number, None)) is not None:
            group.refuse(error)

    def fail(self) -> list[asyncio.Future[None]]:
        """Forget everything; return what is waited for and will not come."""
        waiting = [group.done for group in self._groups.values()]
        self._groups.clear()
        return waiting
