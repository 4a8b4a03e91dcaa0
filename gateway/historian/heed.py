"""Whether anybody still waits for what is being read: so a question ends when who asked has left."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine

_OPTION = "has_left"


class Left(Exception):
    """Who asked has left; there is no answer."""


def heeding(engine: Engine, has_left: Callable[[], bool]) -> Engine:
    """Return the same database for one who may leave before the answer is there."""
    return engine.execution_options(**{_OPTION: has_left})


def heed(db: Connection) -> None:
    """Raise Left if nobody waits any more; asked for between rows that take long."""
    has_left = db.get_execution_options().get(_OPTION)
    if has_left is not None and has_left():
        raise Left
