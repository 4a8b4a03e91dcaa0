"""What the audit trail is told of one deed."""

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from gateway.asking import asking


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed. `who` asked by which means (`how`: token, session, ...) and from which network `address`.

    `action` is a verb such as write or login, `object` what it was done to, `outcome` done, refused, failed or unknown,
    `detail` why; `value` is what was wanted, if that is something that can be told.
    """

    action: str
    object: str
    outcome: str
    who: str = ""
    how: str = ""
    address: str = ""
    detail: str = ""
    value: Any = None


class Audit(Protocol):
    """Takes entries. Neither waits nor raises, whatever the disk does."""

    def add(self, entry: Entry) -> None:
        """Tell of a deed; who asks for it is put in where the entry does not say."""
        ...

    def often(self, entry: Entry) -> None:
        """Tell of what may come again and again, such as a refusal: too many alike are counted."""
        ...


class Unheard:
    """An Audit for those who keep none."""

    def add(self, entry: Entry) -> None: ...

    def often(self, entry: Entry) -> None: ...


UNHEARD: Final = Unheard()


def signed(entry: Entry) -> Entry:
    """Put in who asks where the entry does not say, and note that it was told."""
    asks = asking()
    if asks is None:
        return entry
    asks.told = True
    return replace(entry, who=entry.who or asks.who, how=entry.how or asks.how, address=entry.address or asks.address)
