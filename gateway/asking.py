"""Who asks, as far as this gateway knows, for as long as a task serves them. Knows nothing of HTTP or of rights.

The door of the API sets it (api/access.py), the door of writes and the audit trail look at it. What comes by the bus
or from a file is asked for by nobody in this sense: who that is says the name that goes with it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(slots=True)
class Asker:
    """Somebody who asks: their name, by which means it is known (`how`: token, session, ...), and their address.

    Whoever has a name of this gateway's own may write to devices if the configuration says so of that name; `writes` is
    for those of whom their issuer says so. `tags` are globs over the paths they may ask for, empty for all. `told` is
    whether the audit trail has heard of what they ask now.
    """

    who: str = ""
    how: str = ""
    address: str = ""
    writes: bool = False
    tags: Sequence[str] = ()
    told: bool = False

    def may_ask_for(self, path: str, site: str) -> bool:
        """Whether they may ask for what has this path, given with the site or without; globs may be either."""
        whole = path if path.startswith(f"{site}/") else f"{site}/{path}"
        paths = (whole, whole.removeprefix(f"{site}/"))
        return not self.tags or any(fnmatchcase(one, glob) for glob in self.tags for one in paths)


_ASKS: ContextVar[Asker | None] = ContextVar("asks", default=None)


def asking() -> Asker | None:
    """Return whom this task serves; None if it is not the API that asks."""
    return _ASKS.get()


@contextmanager
def served(asks: Asker) -> Iterator[None]:
    """Have the task serve somebody as long as the scope lasts."""
    before = _ASKS.set(asks)
    try:
        yield
    finally:
        _ASKS.reset(before)
