"""A record of the audit trail: one line of JSON that seals the one before. Pure; knows no files.

    {"n":17,"time":"2026-01-05T06:00:00.123456Z","who":"mes",...,"prev":"<hash of 16>","hash":"<hash of this one>"}

`hash` is the SHA-256, in hex, of the line up to the comma before `"hash"`, closed by `}`: of what a person reads and
nothing else, so that any program can check it. `n` counts 1, 2, 3 for ever. The first record has 64 zeros as `prev`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from gateway.audit.entry import Entry
from gateway.quoting import BITS_MAX, line, shown

GENESIS: Final = "0" * 64
_TAIL: Final = len(',"hash":""}') + 64
_NAME_MAX: Final = 200


class Broken(Exception):
    """A line is not a record as it was written; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose hash is that of its text."""

    n: int
    prev: str
    hash: str
    fields: Mapping[str, Any]


def stamp(time_ns: int) -> str:
    """Return the time of a record as text: UTC, microseconds."""
    return f"{np.datetime64(time_ns // 1000, 'us')}Z"


def fields(entry: Entry, time: str) -> dict[str, Any]:
    """Return what is told of an entry: one line each, and not a long one, whoever has written it."""
    told = {
        "time": time,
        "who": _short(entry.who),
        "how": entry.how,
        "address": _short(entry.address),
        "action": _short(entry.action),
        "object": line(entry.object),
        "outcome": entry.outcome,
    }
    if entry.value is not None:
        told["value"] = _value(entry.value)
    if entry.detail:
        told["detail"] = line(entry.detail)
    return told


def sealed(n: int, told: Mapping[str, Any], prev: str) -> tuple[bytes, str]:
    """Return the line of record `n`, with its line feed, and its hash."""
    text = orjson.dumps({"n": n, **told, "prev": prev})
    hash = hashlib.sha256(text).hexdigest()
    return b'%s,"hash":"%s"}\n' % (text[:-1], hash.encode()), hash


def read(text: bytes) -> Record:
    """Return the record of a line, without its line feed. Raises Broken."""
    body, tail = text[:-_TAIL] + b"}", text[-_TAIL:]
    hash = hashlib.sha256(body).hexdigest()
    if tail != b',"hash":"%s"}' % hash.encode():
        raise Broken("its hash is not that of its text: it was changed, or damaged")
    try:
        told = orjson.loads(body)
        return Record(int(told["n"]), str(told["prev"]), hash, told)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Broken(f"it is no record: {error}") from None


def _short(text: str) -> str:
    return line(text[:_NAME_MAX])


def _value(value: Any) -> Any:
    """A value as JSON has it if it is a plain one that JSON can carry exactly, else as a short text."""
    small = not isinstance(value, int) or value.bit_length() <= BITS_MAX - 1
    return value if isinstance(value, (bool, int, float)) and small else shown(value)
