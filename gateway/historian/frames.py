"""What passes between the gateway and its query process, on two pipes: frames of a head and bytes.

    gateway ─> query process   OPEN url | ASK id, question | MORE id | DROP id
    query process ─> gateway   OPEN     | TOLD id, answer  | BODY id, bytes | FAILED id, exception

An answer is told with the beginning of its body; what is behind that comes a piece for each MORE, so who takes his time
holds up nobody else. Questions, answers and exceptions are pickled: both ends are this program, of one version.
"""

import struct
from enum import IntEnum
from typing import Final

HEAD: Final = struct.Struct("<IBQ")
"""How many bytes follow, what they are, and of which question."""
PIECE_BYTES: Final = 1 << 18


class What(IntEnum):
    """What a frame says."""

    OPEN = 0
    ASK = 1
    MORE = 2
    DROP = 3
    TOLD = 4
    BODY = 5
    FAILED = 6


def frame(what: What, id: int = 0, body: bytes = b"") -> bytes:
    """Return a frame."""
    return HEAD.pack(len(body), what, id) + body
