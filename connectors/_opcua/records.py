"""Many DataValues to columns: what arrives in one message looks alike, so most of it is not looked at one by one.

Records are DataValues (OPC 10000-6, 5.2.2.17), each behind its client handle in a notification. From the cheapest:

1. All have the same mask and type, and so the same size: the message is a structured array.
2. They lie as in an earlier message of this length: one comparison of the bytes that decide the sizes shows it.
3. Where each begins is found by walking from size to size; then fields are gathered by type, as in 2.
4. A few: value by value (values.py). So are, within all, the values that are no numbers.

That one comparison is enough in 2 follows by induction: a record begins where the one before ends, and its size follows
from its mask, its type and, if it is text, its length. Arrays and the like make a layout that is used once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from connectors._opcua.extent import HAS_VALUE, SIZE, TAIL, DecodeError, tail_size
from connectors._opcua.values import MASKS, NUMBER, STRING, data_value, variant, variant_end
from connectors._opcua.variants import KIND, PLAIN, Row, Types, columns, times_ns
from gateway.model import Batch, Kind

Offsets = NDArray[np.intp]

_FEW: Final = 48
"""Up to here value by value is faster than what numpy costs per call; measured with mixed types."""
_LAYOUTS_MAX: Final = 32
_HANDLE: Final = 4
_DTYPE: Final = {number: np.dtype("u1" if fmt == "?" else "<" + fmt) for number, fmt in NUMBER.items()}


@dataclass(frozen=True, slots=True)
class Records:
    """`count` records from `start` on, which end before `end`; two more bytes of `data` can be read after it.

    `tags`, shape (count,), are those of DataValues alone; None if each begins with its client handle.
    """

    data: bytes
    start: int
    end: int
    count: int
    tags: NDArray[np.uint32] | None = None
    types: Types = PLAIN

    @property
    def lead(self) -> int:
        return _HANDLE if self.tags is None else 0

    def at(self, offsets: Offsets, dtype: Any) -> NDArray[Any]:
        """Return the numbers at these offsets from the start, however they are aligned."""
        size = np.dtype(dtype).itemsize
        everywhere = np.ndarray((len(self.data) - self.start - size + 1,), dtype, self.data, self.start, (1,))
        return everywhere[offsets]


def batches(records: Records, now_ns: int) -> list[Batch]:
    """Return the records as one batch per kind, in order of arrival. Raises DecodeError."""
    if records.count * (records.lead + 1) > records.end - records.start:
        raise DecodeError(f"{records.count} values cannot be in {records.end - records.start} bytes")
    if not records.count:
        return []
    with np.errstate(invalid="ignore"):  # a signalling NaN is a value here
        return _uniform(records, now_ns) or (_walked if records.count <= _FEW else _gathered)(records, now_ns)


def _uniform(records: Records, now_ns: int) -> list[Batch]:
    """Rung 1: the records as a structured array, if they are one; else nothing."""
    first = records.start + records.lead
    mask, number = records.data[first], records.data[first + 1]
    form = _view(mask, number, records.lead)
    if form is None or records.count * form.itemsize > records.end - records.start:
        return []
    view = np.frombuffer(records.data, form, records.count, records.start)
    if not (view["key"] == view["key"][0]).all():
        return []

    def column(name: str, dtype: Any, otherwise: float = 0) -> NDArray[Any]:
        return view[name].astype(dtype) if name in (form.names or ()) else np.full(records.count, otherwise, dtype)

    kind = KIND[number] if mask & HAS_VALUE and number else Kind.FLOAT
    value = column("value", kind.dtype, np.nan)
    tag = column("tag", np.uint32) if records.tags is None else records.tags.view()
    time = times_ns(column("source", np.int64), column("server", np.int64), now_ns)
    return [Batch(tag, time, value, column("quality", np.uint32))]


@cache
def _view(mask: int, number: int, lead: int) -> np.dtype[Any] | None:
    """The structure of a record of this mask and type, if it is a number or nothing."""
    if mask not in MASKS:
        return None
    at = lead + 1
    fields: list[tuple[str, Any, int]] = [("tag", "<u4", 0)] if lead else []
    if not mask & HAS_VALUE:
        fields.append(("key", "u1", lead))
    elif number not in _DTYPE and number != 0:
        return None
    else:
        fields.append(("key", "<u2", lead))
        at += 1
        if number:
            fields.append(("value", _DTYPE[number], at))
            at += SIZE[number]
    for bit, name, fmt in TAIL:
        if mask & bit:
            if name:
                fields.append((name, "<" + fmt, at))
            at += np.dtype(fmt).itemsize
    names, formats, offsets = zip(*fields, strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": at})


def _walked(records: Records, now_ns: int) -> list[Batch]:
    """Rung 4: value by value."""
    data, lead, at = records.data, records.lead, records.start
    tags = None if records.tags is None else records.tags.tolist()
    rows: list[Row] = []
    for i in range(records.count):
        if at + lead >= records.end:
            raise DecodeError(f"{records.count} values are announced, {i} are there")
        tag = int.from_bytes(data[at : at + _HANDLE], "little") if tags is None else tags[i]
        row, at = data_value(data, at + lead, records.end, tag, records.types)
        rows.append(row)
    return columns(rows, now_ns)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things are in a message, in bytes from the start of its records.

    `key` is mask and type of each record, `relevant` the bits of it that its size depends on, `length` that of each
    text at `length_at`; a message that has them all lies in the same way. `lasting` is false if others may not.
    `numbers` are the type of numbers, their rows and offsets; `others` row, begin and end of variants that are none;
    `tail` are rows and offsets of quality, source and server time.
    """

    start: Offsets
    key_at: Offsets
    key: NDArray[np.uint16]
    relevant: NDArray[np.uint16]
    length_at: Offsets
    length: NDArray[np.int32]
    lasting: bool
    kind: NDArray[np.uint8]
    numbers: list[tuple[int, Offsets, Offsets]]
    others: list[tuple[int, int, int]]
    tail: dict[str, tuple[Offsets, Offsets]]

    def fits(self, records: Records) -> bool:
        """Whether these records lie like those that the layout is of; their count and bytes are the same."""
        key = records.at(self.key_at, "<u2") & self.relevant
        return bool((key == self.key).all() and (records.at(self.length_at, "<i4") == self.length).all())


_layouts: Final[dict[tuple[int, int, int], _Layout]] = {}
"""The last layout by bytes before each DataValue, count, and bytes of all."""


def _gathered(records: Records, now_ns: int) -> list[Batch]:
    """Rungs 2 and 3: field by field and type by type, from where a layout says that they are."""
    shape = (records.lead, records.count, records.end - records.start)
    layout = _layouts.get(shape)
    if layout is None or not layout.fits(records):
        layout = _layout(records)
        if layout.lasting:
            _layouts.pop(shape, None)
            if len(_layouts) == _LAYOUTS_MAX:
                del _layouts[next(iter(_layouts))]
            _layouts[shape] = layout
    return _columns(records, layout, now_ns)


def _walk(records: Records) -> tuple[list[int], dict[int, int]]:
    """Where each record begins; and, by row, where values end whose size does not follow from their type."""
    data, lead, at, end = records.data, records.lead, records.start, records.end
    starts: list[int] = []
    value_ends: dict[int, int] = {}
    for row in range(records.count):
        first = at + lead
        if first >= end:
            raise DecodeError(f"{records.count} values are announced, {row} are there")
        starts.append(at)
        size = _SIZES[data[first] | data[first + 1] << 8]
        if size:
            at = first + size
        else:
            tail_bytes = tail_size(data[first])
            value_ends[row] = variant_end(data, first + 1, end)
            at = value_ends[row] + tail_bytes
    if at > end:
        raise DecodeError(f"{records.count} values are announced, the last one goes beyond the end")
    return starts, value_ends


def _layout(records: Records) -> _Layout:
    starts, value_ends = _walk(records)
    start = np.array(starts, np.intp) - records.start
    key_at = start + records.lead
    key = records.at(key_at, "<u2")
    relevant = np.where(key & HAS_VALUE, 0xFFFF, 0x00FF).astype(np.uint16)
    number = (key & relevant) >> 8
    tail_at = key_at + _HEADS[key]
    tail_at[list(value_ends)] = np.array(list(value_ends.values()), np.intp) - records.start
    text = number == STRING
    other = np.flatnonzero(_OTHER[number])
    numbers = [(n, np.flatnonzero(number == n)) for n in sorted(NUMBER.keys() & set(number.tolist()))]
    return _Layout(
        start,
        key_at,
        key & relevant,
        relevant,
        length_at=key_at[text] + 2,
        length=records.at(key_at[text] + 2, "<i4"),
        lasting=len(value_ends) == np.count_nonzero(text),
        kind=_KINDS[number],
        numbers=[(n, rows, key_at[rows] + 2) for n, rows in numbers],
        others=list(zip(other.tolist(), (key_at[other] + 1).tolist(), tail_at[other].tolist(), strict=True)),
        tail=_tail(key, tail_at),
    )


def _tail(key: NDArray[np.uint16], at: Offsets) -> dict[str, tuple[Offsets, Offsets]]:
    """Rows and offsets of what follows the values, by name; the values end at these offsets."""
    tail: dict[str, tuple[Offsets, Offsets]] = {}
    for bit, name, fmt in TAIL:
        has = key & bit != 0
        rows = np.flatnonzero(has)
        if name:
            tail[name] = rows, at[rows]
        at = at + has * np.dtype(fmt).itemsize
    return tail


def _columns(records: Records, layout: _Layout, now_ns: int) -> list[Batch]:
    def field(name: str, dtype: str) -> NDArray[Any]:
        rows, at = layout.tail[name]
        column = np.zeros(records.count, dtype)
        column[rows] = records.at(at, dtype)
        return column

    tag = records.at(layout.start, "<u4") if records.tags is None else records.tags.view()
    time = times_ns(field("source", "<i8"), field("server", "<i8"), now_ns)
    quality = field("quality", "<u4")
    kinds, values = _values(records, layout, quality)
    found = []
    for kind, value in values.items():
        rows = np.flatnonzero(kinds == kind)
        if len(rows) == records.count:
            return [Batch(tag, time, value, quality)]
        if len(rows):
            found.append(Batch(tag[rows], time[rows], value[rows], quality[rows]))
    return found


def _values(
    records: Records, layout: _Layout, quality: NDArray[np.uint32]
) -> tuple[NDArray[np.uint8], dict[Kind, NDArray[Any]]]:
    """The kind of each value, and by kind a column of all rows that holds those of the kind.

    What cannot be decoded is given its quality.
    """
    kinds = layout.kind.copy()
    values = {kind: np.zeros(records.count, kind.dtype) for kind in Kind}
    values[Kind.FLOAT].fill(np.nan)
    for number, rows, at in layout.numbers:
        values[KIND[number]][rows] = records.at(at, _DTYPE[number])
    for row, begin, end in layout.others:
        kind, value, damage = variant(records.data, records.start + begin, records.start + end, records.types)
        kinds[row] = kind
        values[kind][row] = value
        quality[row] = damage or quality[row]
    return kinds, values


def _table(of_type: Mapping[int, int], otherwise: int) -> NDArray[np.uint8]:
    """A number for each type, to look up many at once."""
    return np.array([of_type.get(number, otherwise) for number in range(0x100)], np.uint8)


def _sizes() -> tuple[NDArray[np.uint8], bytes]:
    """Bytes of a DataValue without and with what follows the value, by mask and, in the second byte, type.

    0 where they do not follow from these, or where the mask is none.
    """
    heads = np.ones((0x100, 0x100), np.uint8)
    heads[:, HAS_VALUE::2] = _table({0: 2} | {number: 2 + size for number, size in SIZE.items()}, 0)[:, None]
    sizes = np.zeros_like(heads)
    for mask in MASKS:
        sizes[:, mask] = np.where(heads[:, mask], heads[:, mask] + tail_size(mask), 0)
    return heads.ravel(), sizes.tobytes()


_KINDS: Final = _table({0: Kind.FLOAT, **KIND}, Kind.OBJECT)
_OTHER: Final = _table(dict.fromkeys([0, *NUMBER], 0), 1)
_HEADS, _SIZES = _sizes()
