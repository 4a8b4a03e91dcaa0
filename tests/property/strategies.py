"""What Hypothesis draws from: values of every kind, qualities, times, batches."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.model import Batch, Kind
from gateway.model.batch import objects

INT64: Final = st.integers(-(2**63), 2**63 - 1)
UINT64: Final = st.integers(0, 2**64 - 1)
UINT32: Final = st.integers(0, 2**32 - 1)
QUALITY: Final = st.one_of(st.just(0), st.sampled_from([0x0030_0000, 0x408F_0000, 0x808A_0000]), UINT32)
LIVE: Final = st.just(False)
TEXT: Final = st.text(st.characters(exclude_categories=()), max_size=8)
"""Any text, lone surrogates included."""

JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)

BITS: Final = st.one_of(
    UINT64,
    st.floats(width=64).map(lambda x: int(np.array([x]).view(np.uint64)[0])),
    st.sampled_from([0x8000_0000_0000_0000, 0x7FF8_0000_0000_0001, 0x7FF0_0000_0000_0001, 0xFFF8_DEAD_BEEF_0000]),
)
"""Bit patterns of floats: ordinary ones, -0.0, signalling and other NaNs with a payload."""

FLOATS: Final = st.lists(BITS, max_size=5).map(lambda bits: np.array(bits, np.uint64).view(np.float64))
"""Waveforms."""

VALUE: Final[dict[Kind, st.SearchStrategy[Any]]] = {
    Kind.FLOAT: BITS,
    Kind.INTEGER: INT64,
    Kind.UNSIGNED: UINT64,
    Kind.BOOLEAN: st.booleans(),
    Kind.OBJECT: st.one_of(TEXT, JSON, FLOATS),
}
"""One value of each kind; a float is drawn as its bits."""


def column(kind: Kind, values: Sequence[Any]) -> NDArray[Any]:
    """Return drawn values as the column of a batch."""
    if kind is Kind.OBJECT:
        return objects(values)
    if kind is Kind.FLOAT:
        return np.array(values, np.uint64).view(np.float64)
    return np.array(values, kind.dtype)


@st.composite
def batches(
    draw: st.DrawFn,
    kinds: Sequence[Kind] = tuple(Kind),
    tags: st.SearchStrategy[int] = UINT32,
    times: st.SearchStrategy[int] = INT64,
    qualities: st.SearchStrategy[int] = QUALITY,
    historical: st.SearchStrategy[bool] = LIVE,
    min_size: int = 0,
    max_size: int = 12,
) -> Batch:
    """Draw a batch; columns are arbitrary, all the same, or counting up, as the plant makes them."""
    kind = draw(st.sampled_from(kinds))
    n = draw(st.integers(min_size, max_size))

    def some(items: st.SearchStrategy[int], dtype: Any) -> NDArray[Any]:
        match draw(st.sampled_from(["any", "constant", "counting"])):
            case "any":
                return np.array(draw(st.lists(items, min_size=n, max_size=n)), dtype)
            case "constant":
                return np.full(n, draw(items), dtype)
            case _:
                return np.array([draw(items)], dtype).repeat(n) + np.arange(n, dtype=dtype)

    value = draw(st.lists(VALUE[kind], min_size=n, max_size=n))
    columns = (some(tags, np.uint32), some(times, np.int64), column(kind, value), _list(draw, qualities, n))
    return Batch(*columns, historical=draw(historical))


def _list(draw: st.DrawFn, items: st.SearchStrategy[int], n: int) -> NDArray[np.uint32]:
    return np.array(draw(st.lists(items, min_size=n, max_size=n)), np.uint32)


def exact(value: Any) -> Any:
    """Return something that is equal only for the same value, bit by bit: a float's bits, an array's bytes."""
    match value:
        case np.ndarray():
            return "array", value.tobytes()
        case float():
            return "float", np.array([value]).view(np.uint64).item()
        case list():
            return [exact(item) for item in value]
        case dict():
            return {key: exact(item) for key, item in value.items()}
        case _:
            return type(value).__name__, value


def rows(batch: Batch) -> list[tuple[Any, ...]]:
    """Return a batch as plain rows of tag, time, exact value and quality, with its kind."""
    values = batch.value.view(np.uint64) if batch.kind is Kind.FLOAT else batch.value
    listed = [exact(value) for value in values.tolist()]
    return list(
        zip(
            [batch.kind] * len(batch),
            batch.tag.tolist(),
            batch.time.tolist(),
            listed,
            batch.quality.tolist(),
            strict=True,
        )
    )
