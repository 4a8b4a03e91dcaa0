"""Answers of devices as they were, in tables: kept, found again, forgotten. What they mean their protocol knows.

    row     version = 1 (1) | crc32 of all that follows (4) | n, k, size (4 each) | zstd of time, quality and image

Little-endian; the image stands column by column, for what is at the same place from scan to scan is alike.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, delete, insert, select

from gateway.contracts import Words
from gateway.historian import schema
from gateway.historian.rows import upsert

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BI")
_SHAPE: Final = struct.Struct("<III")
_LEVEL: Final = 3


def encode(words: Words) -> bytes:
    """Return answers as a row."""
    (n, k), size = words.time.shape, words.image.shape[1]
    columns = words.time.astype("<i8"), words.quality.astype("<u4"), words.image.T
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(column.tobytes() for column in columns))
    body = _SHAPE.pack(n, k, size) + packed
    return _HEAD.pack(_VERSION, zlib.crc32(body)) + body


def decode(data: bytes, recipe: str) -> Words:
    """Return the answers of a row. Raises ValueError if it is damaged."""
    head = _HEAD.size + _SHAPE.size
    if len(data) < head or _HEAD.unpack_from(data) != (_VERSION, zlib.crc32(data[_HEAD.size :])):
        raise ValueError("it is damaged: its checksum does not match")
    n, k, size = _SHAPE.unpack_from(data, _HEAD.size)
    body = zstandard.ZstdDecompressor().decompress(data[head:])
    time: NDArray[Any] = np.frombuffer(body, "<i8", n * k).reshape(n, k)
    quality: NDArray[Any] = np.frombuffer(body, "<u4", n * k, 8 * n * k).reshape(n, k)
    image = np.frombuffer(body, np.uint8, n * size, 12 * n * k).reshape(size, n)
    return Words(recipe, time.astype(np.int64), quality.astype(np.uint32), np.ascontiguousarray(image.T))


def recipe_of(db: Connection, device: str, text: str) -> int:
    """Return the version of a recipe; a new one gets the next."""
    table = schema.recipe
    own = {"device": device, "digest": hashlib.sha256(text.encode()).hexdigest()}
    db.execute(upsert(db.dialect, table).values(own | {"text": text}).on_conflict_do_nothing())
    known = select(table.c.id).where(table.c.device == own["device"], table.c.digest == own["digest"])
    return int(db.scalars(known).one())


def keep(engine: Engine, found: Mapping[str, Sequence[Words]]) -> None:
    """Insert answers, by device."""
    with engine.begin() as db:
        rows = [
            {
                "device": device,
                "recipe": recipe_of(db, device, words.recipe),
                "first_time": int(words.time.min()),
                "last_time": int(words.time.max()),
                "n": len(words),
                "data": encode(words),
            }
            for device, some in found.items()
            for words in some
        ]
        if rows:
            db.execute(insert(schema.words), rows)


def kept(engine: Engine, device: str, start_ns: int, end_ns: int) -> Iterator[Words]:
    """Return the answers of a device that may have some in [start, end), in the order of their time."""
    table, recipe = schema.words, schema.recipe
    mine = (table.c.device == device, table.c.first_time < end_ns, table.c.last_time >= start_ns)
    with engine.connect() as db:
        ids = db.scalars(select(table.c.id).where(*mine).order_by(table.c.first_time)).all()
    for id_ in ids:  # each by itself: nothing is open while somebody writes
        one = select(table.c.data, recipe.c.text).join(recipe, recipe.c.id == table.c.recipe)
        with engine.connect() as db:
            found = db.execute(one.where(table.c.id == id_)).first()
        if found is not None:
            yield decode(*found)


def forget(engine: Engine, before_ns: int) -> None:
    """Delete answers that are older than a time. Recipes stay: they are small, and repairs name them."""
    with engine.begin() as db:
        db.execute(delete(schema.words).where(schema.words.c.last_time < before_ns))
