"""The seal of a row: a checksum over its columns, because SQLite has none and a bit that tips over is a lie.

The data of a record has a checksum of its own (model/encoding.py), so its seal covers only that.
"""

import zlib
from typing import Final

RECORD: Final = "record"


def seal(table: str, *fields: int | str | bytes | None) -> int:
    """Return the seal of a row of a table."""
    return zlib.crc32(repr((table, fields)).encode())
