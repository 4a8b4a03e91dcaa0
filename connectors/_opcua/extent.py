"""Where encoded values end: the binary encoding (OPC 10000-6, 5.2), walked over without making anything of it.

Every length that comes from the wire is checked here, before anything is allocated or read for it. Knows nothing of
services, subscriptions or tags.
"""

import math
import struct
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

NESTING_MAX: Final = 100
"""How deep values may be in each other: what a decoder must support at least (OPC 10000-6, 5.2.2.12 and 5.2.2.16)."""

ARRAY: Final = 0x80
DIMENSIONS: Final = 0x40
TYPE: Final = 0x3F
"""The bits of a variant's first byte (OPC 10000-6, 5.2.2.16)."""

SIZE: Final = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4}
"""Bytes of the built-in types that always have as many (OPC 10000-6, 5.1.2)."""

HAS_VALUE: Final = 0x01
TAIL: Final = ((0x02, "quality", "I"), (0x04, "source", "q"), (0x10, "", "H"), (0x08, "server", "q"), (0x20, "", "H"))
"""What follows the value in a DataValue, in this order: bit of its mask, name, format (5.2.2.17).

Picoseconds have no name, as nobody keeps them.
"""

_STRUCTS: Final = {fmt: struct.Struct("<" + fmt) for fmt in "BHIiq"}
_UINT32: Final = 4


class DecodeError(Exception):
    """The bytes are not the message that they should be, or not the whole of it."""


class Cursor:
    """A place in `data`, moved on over one encoded value after the other and never beyond `end`.

    Raises DecodeError where a value would go beyond. `sound` becomes False at what has an end but no meaning:
    dimensions for more elements than there are, or an array of nothing.
    """

    __slots__ = ("at", "data", "end", "sound")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.sound = True

    def skip(self, size: int) -> int:
        """Move on by that many bytes; return where they begin."""
        at = self.at
        if not 0 <= size <= self.end - at:
            raise DecodeError(f"{size} bytes are needed at byte {at}, {self.end - at} are left")
        self.at = at + size
        return at

    def number(self, fmt: str) -> int:
        """Read an integer, `fmt` as of the struct module: B, H, I, i or q."""
        form = _STRUCTS[fmt]
        return int(form.unpack_from(self.data, self.skip(form.size))[0])

    def count(self, size_min: int) -> int:
        """Read how many elements of at least `size_min` bytes follow; null is none (OPC 10000-6, 5.2.5)."""
        count = self.number("i")
        if count < -1 or count * size_min > self.end - self.at:
            raise DecodeError(f"{count} elements cannot be in the {self.end - self.at} bytes after byte {self.at}")
        return max(0, count)

    def array(self, read: Callable[[], T], size_min: int) -> list[T]:
        """Read an array, `read` its elements of at least `size_min` bytes."""
        return [read() for _ in range(self.count(size_min))]

    def string(self) -> None:
        """String, ByteString, XmlElement: a length, and that many bytes."""
        self.skip(self.count(1))

    def node_id(self) -> tuple[int, int] | None:
        """Read a NodeId or ExpandedNodeId; return namespace and number if that is all it has (5.2.2.9)."""
        encoding = self.number("B")
        node = None
        match encoding & 0x3F:
            case 0:
                node = (0, self.number("B"))
            case 1:
                node = (self.number("B"), self.number("H"))
            case 2:
                node = (self.number("H"), self.number("I"))
            case 3 | 5:
                self.skip(2)
                self.string()
            case 4:
                self.skip(2 + 16)
            case form:
                raise DecodeError(f"there is no NodeId of the form {form}")
        if encoding & 0x80:
            self.string()
        if encoding & 0x40:
            self.skip(_UINT32)
        return None if encoding & 0xC0 else node

    def extension_object(self) -> tuple[tuple[int, int] | None, int]:
        """Move over a structure; return its type, None without a binary body, and where its body begins.

        The body ends where the cursor is then. Raises DecodeError for a body of unknown length, which old versions
        of the standard allowed (5.2.2.15).
        """
        type_id = self.node_id()
        form = self.number("B")
        if form == 0:
            return None, self.at
        if form not in (1, 2):
            raise DecodeError(f"there is no ExtensionObject of the form {form}")
        length = self.number("i")
        return (type_id if form == 1 else None), self.skip(length)

    def diagnostic_info(self, depth: int = 0) -> None:
        """Move over a DiagnosticInfo (5.2.2.12)."""
        self._nest(depth)
        mask = self.number("B")
        self.skip(4 * (mask & 0x0F).bit_count())
        if mask & 0x10:
            self.string()
        if mask & 0x20:
            self.skip(_UINT32)
        if mask & 0x40:
            self.diagnostic_info(depth + 1)

    def data_value(self, depth: int = 0) -> None:
        """Move over a DataValue (5.2.2.17)."""
        self._nest(depth)
        mask = self.number("B")
        if mask & HAS_VALUE:
            self.variant(depth + 1)
        self.skip(tail_size(mask))

    def variant(self, depth: int = 0) -> None:
        """Move over a Variant (5.2.2.16)."""
        self._nest(depth)
        encoding = self.number("B")
        number = encoding & TYPE
        if encoding & ARRAY:
            count = self.elements(number, depth)
        else:
            count = 1
            self.element(number, depth)
        if encoding & DIMENSIONS:
            sizes = self.array(lambda: self.number("i"), _UINT32)
            self.sound &= bool(encoding & ARRAY) and len(sizes) <= NESTING_MAX and _product(sizes) <= max(1, count)

    def elements(self, number: int, depth: int = 0) -> int:
        """Move over an array of a built-in type; return how many elements it has."""
        if number == 0:
            self.sound &= self.number("i") <= 0
            return 0
        size = SIZE.get(number, 0)
        count = self.count(size or 1)
        if size:
            self.skip(size * count)
        else:
            for _ in range(count):
                self.element(number, depth)
        return count

    def element(self, number: int, depth: int = 0) -> None:
        """Move over one value of a built-in type, as it is within a Variant or a structure."""
        match number:
            case 17 | 18:
                self.node_id()
            case 20:
                self.skip(2)
                self.string()
            case 21:
                for _ in range((self.number("B") & 0x03).bit_count()):
                    self.string()
            case 22:
                self.extension_object()
            case 23:
                self.data_value(depth + 1)
            case 24:
                self.variant(depth + 1)
            case 25:
                self.diagnostic_info(depth + 1)
            case 0:
                pass
            case _ if number in SIZE:
                self.skip(SIZE[number])
            case _:  # String, XmlElement, ByteString, and what is reserved, which is to be taken for one (5.1.2)
                self.string()

    def _nest(self, depth: int) -> None:
        if depth > NESTING_MAX:
            raise DecodeError(f"more than {NESTING_MAX} values in each other at byte {self.at}")


def _product(sizes: list[int]) -> int:
    """How many elements a decoder makes room for, which takes a dimension of nothing for one of one."""
    return math.prod(max(1, size) for size in sizes)


def tail_size(mask: int) -> int:
    """Return how many bytes follow the value in a DataValue of this mask. Raises DecodeError for reserved bits."""
    if mask & 0xC0:
        raise DecodeError(f"a DataValue cannot have the mask {mask:#04x}")
    return sum(struct.calcsize("<" + fmt) for bit, _, fmt in TAIL if mask & bit)
