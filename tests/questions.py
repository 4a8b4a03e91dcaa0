"""Questions of tests to the query process: what it is, and what it does meanwhile. It imports them from here."""

import os
from threading import Event

import numpy as np
from sqlalchemy import insert

from gateway.historian import schema
from gateway.historian.heed import Left
from gateway.historian.history import History

_STARTED, _LEFT = Event(), Event()
PATIENCE_S = 30.0


def pid(past: History) -> tuple[int, bytes]:
    return os.getpid(), b""


def environment(past: History) -> tuple[dict[str, str], bytes]:
    return dict(os.environ), b""


def long(past: History, n: int) -> tuple[str, bytes]:
    return "long", np.arange(n, dtype=np.uint32).tobytes()


def wrong(past: History) -> tuple[None, bytes]:
    raise KeyError("what is asked")


def writes(past: History) -> tuple[None, bytes]:
    with past.engine.begin() as db:
        db.execute(insert(schema.version).values(number=99))
    return None, b""


def until_left(past: History, path: str) -> tuple[None, bytes]:
    """Read again and again; only who leaves ends it."""
    _STARTED.set()
    try:
        while True:
            past.readings(path, 0, 2**62)
    except Left:
        _LEFT.set()
        raise


def has_started(past: History) -> tuple[bool, bytes]:
    return _STARTED.wait(PATIENCE_S), b""


def has_left(past: History) -> tuple[bool, bytes]:
    return _LEFT.wait(PATIENCE_S), b""
