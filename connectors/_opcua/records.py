"""Many DataValues to columns: what arrives in one message looks alike, so most of it is not looked at one by one.

Records are DataValues (OPC 10000-6, 5.2.2.17), each behind its client handle in a notification. From the cheapest:

1. All have the same mask and type, and so the same size: the message is a structured array.
2. They lie as in an earlier message of this length: one comparison of the bytes that decide the sizes shows it.
3. Where each begins is found by walking from size to size; then fields are gathered by type, as in 2.
4. A few: value by value (values.py). So are, within all, the values that are no numbers.

That one comparison is enough in 2 follows by induction: a record begins where the one before ends, and its size follows
from its mask, its type and, if it is text, its length. Arrays and the like make a layout that is used once.
"""

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from connectors._opcua.extent import HAS_VALUE, SIZE, TAIL, DecodeError
from connectors._opcua.layout import HANDLE, INT64, UINT32, Layout, Offsets, Records, rows_by_kind
from connectors._opcua.values import MASKS, NUMBER, data_value, variant
from connectors._opcua.variants import KIND, Row, columns, times_ns
from gateway.model import Batch, Kind

_FEW: Final = 48
"""Up to here value by value is faster than what numpy costs per call; measured with mixed types."""
_LAYOUTS_MAX: Final = 32
_DTYPE_OF: Final = {kind: kind.dtype for kind in Kind}
_DTYPE: Final = {number: np.dtype("u1" if fmt == "?" else "<" + fmt) for number, fmt in NUMBER.items()}


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
        tag = int.from_bytes(data[at : at + HANDLE], "little") if tags is None else tags[i]
        row, at = data_value(data, at + lead, records.end, tag, records.types)
        rows.append(row)
    return columns(rows, now_ns)


_layouts: Final[dict[tuple[int, int, int], Layout]] = {}
"""The last layout by bytes before each DataValue, count, and bytes of all."""


def _gathered(records: Records, now_ns: int) -> list[Batch]:
    """Rungs 2 and 3: field by field and type by type, from where a layout says that they are."""
    shape = (records.lead, records.count, records.end - records.start)
    layout = _layouts.get(shape)
    if layout is None or not layout.fits(records):
        layout = Layout.of(records)
        if layout.lasting:
            _layouts.pop(shape, None)
            if len(_layouts) == _LAYOUTS_MAX:
                del _layouts[next(iter(_layouts))]
            _layouts[shape] = layout
    return _columns(records, layout, now_ns)


def _columns(records: Records, layout: Layout, now_ns: int) -> list[Batch]:
    def field(name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        rows, at = layout.tail[name]
        found = records.at(at, dtype)
        if len(rows) == records.count:
            return found
        column = np.zeros(records.count, dtype)
        column[rows] = found
        return column

    tag = records.at(layout.start, UINT32) if records.tags is None else records.tags.view()
    time = times_ns(field("source", INT64), field("server", INT64), now_ns)
    quality = field("quality", UINT32)
    rows, values = _values(records, layout, quality)
    if len(rows) == 1:
        return [Batch(tag, time, values[kind], quality) for kind in rows]
    return [Batch(tag[at], time[at], values[kind][at], quality[at]) for kind, at in rows.items()]


def _values(
    records: Records, layout: Layout, quality: NDArray[np.uint32]
) -> tuple[dict[Kind, Offsets], dict[Kind, NDArray[Any]]]:
    """The rows of each kind, and by kind a column of all rows that holds those of the kind.

    What cannot be decoded is given its quality.
    """
    values = {kind: np.zeros(records.count, dtype) for kind, dtype in _DTYPE_OF.items()}
    values[Kind.FLOAT].fill(np.nan)
    for number, rows, at in layout.numbers:
        values[KIND[number]][rows] = records.at(at, _DTYPE[number])
    values[Kind.OBJECT][layout.texts.rows] = layout.texts.read(records)
    if not layout.others:
        return layout.rows, values
    kinds = layout.kind.copy()
    for row, begin, end in layout.others:
        kind, value, damage = variant(records.data, records.start + begin, records.start + end, records.types)
        kinds[row] = kind
        values[kind][row] = value
        quality[row] = damage or quality[row]
    return rows_by_kind(kinds), values
