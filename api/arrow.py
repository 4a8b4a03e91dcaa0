"""Columns as a stream of Arrow or a file of Parquet: numbers go from numpy to the answer as they are in memory.

Columnar Format of Apache Arrow, section "IPC Streaming Format". pyarrow is an extra of the package, `[arrow]`.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
import orjson
from fastapi import HTTPException, Response
from numpy.typing import NDArray

from api.forms import MEDIA, continued

FORMS: Final = ("arrow", "parquet")
_BATCH_ROWS: Final = 131_072
"""Rows in a record batch: a reader can begin before all of it is there."""


def binary(
    form: str, columns: Mapping[str, NDArray[Any] | Sequence[Any]], about: Mapping[str, str], following: str | None
) -> Response:
    """Return columns of one length in one of FORMS; int64 in `timestamp` are nanoseconds since 1970 UTC.

    Numpy columns keep their type, what they mask is null. What a list or a column of objects has is told as in CSV,
    all but text as JSON, unless all of it are numbers.
    `about` is kept as metadata of the schema. Raises HTTPException if pyarrow is not there.
    """
    try:
        pyarrow = import_module("pyarrow")
    except ImportError:
        raise HTTPException(
            501, f"{form}: the gateway runs without pyarrow: pip install 'itot-gateway[arrow]', or ask for csv"
        ) from None
    return Response(_written(pyarrow, form, columns, about), media_type=MEDIA[form], headers=continued(following))


def _written(pyarrow: Any, form: str, columns: Mapping[str, Any], about: Mapping[str, str]) -> memoryview:
    arrays = {name: _array(pyarrow, name, column) for name, column in columns.items()}
    rows = pyarrow.table(arrays).replace_schema_metadata(dict(about))
    if form == "parquet":
        sink = pyarrow.BufferOutputStream()
        import_module("pyarrow.parquet").write_table(rows, sink, compression="zstd")
        return memoryview(sink.getvalue())
    size = pyarrow.MockOutputStream()  # takes no time, and growing a buffer does
    _stream(pyarrow, rows, size)
    body = memoryview(bytearray(size.size()))
    _stream(pyarrow, rows, pyarrow.FixedSizeBufferWriter(pyarrow.py_buffer(body)))
    return body


def _stream(pyarrow: Any, rows: Any, sink: Any) -> None:
    with pyarrow.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows, max_chunksize=_BATCH_ROWS)


def _array(pyarrow: Any, name: str, column: NDArray[Any] | Sequence[Any]) -> Any:
    if isinstance(column, np.ndarray) and column.dtype != object:
        array = pyarrow.array(column)
        return array.view(pyarrow.timestamp("ns", "UTC")) if name == "timestamp" else array
    listed = list(column)
    kinds = {type(value) for value in listed} - {type(None)}
    if kinds in (set(), {int}, {float}):
        return pyarrow.array(listed)
    return pyarrow.array([_text(value) for value in listed], pyarrow.string())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()
