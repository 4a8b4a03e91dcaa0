"""Metrics of Sparkplug B against Google's protobuf: every kind of value, quality and time, bit by bit."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bus.sparkplug import metrics
from gateway.bus.sparkplug.metrics import Rows, alias
from gateway.model import Batch, Kind, Tag
from gateway.model.quality import bad
from gateway.mqtt.sparkplug import schema, wire
from gateway.mqtt.sparkplug.schema import Datatype
from tests.property.strategies import INT64, QUALITY, TEXT, UINT64, batches
from tests.tahu import Payload, parsed

TAGS = 50
TIMES = st.one_of(INT64, st.integers(1_700_000_000_000_000_000, 1_700_000_100_000_000_000))
NUMBERS = (Kind.FLOAT, Kind.INTEGER, Kind.UNSIGNED, Kind.BOOLEAN)


def expected_ms(time_ns: int) -> int:
    return min(max(time_ns // 1_000_000, 0), 2**42 - 1)


def expected_properties(code: int) -> dict[str, tuple[int, int]]:
    """By hand, from the table of qualities."""
    if code == 0:
        return {}
    found = {"StatusCode": (4, code)}
    if code >> 30:
        stale = code >> 16 in (0x408F, 0x4090)
        found["Quality"] = (3, 0 if code >> 31 else 500 if stale else 192)
    return found


def properties(metric: Any) -> dict[str, tuple[int, int]]:
    values = [(v.type, v.long_value if v.HasField("long_value") else v.int_value) for v in metric.properties.values]
    return dict(zip(metric.properties.keys, values, strict=True))


def told(metric: Any, kind: Kind) -> Any:
    """The value of a metric, as bits where it is a float."""
    match kind:
        case Kind.FLOAT:
            return struct.pack("<d", metric.double_value)
        case Kind.INTEGER:
            return struct.unpack("<q", struct.pack("<Q", metric.long_value))[0]
        case Kind.UNSIGNED:
            return metric.long_value
        case _:
            return metric.boolean_value


@settings(deadline=None, max_examples=400)
@given(
    batches(NUMBERS, tags=st.integers(0, TAGS - 20), times=TIMES, min_size=1), st.booleans(), st.booleans(), st.data()
)
def test_what_is_encoded_in_columns_is_what_protobuf_reads(
    batch: Batch, historical: bool, datatype_in_data: bool, data: st.DataObject
) -> None:
    datatype = metrics.DATATYPE[batch.kind]
    rows = Rows(datatype_in_data=datatype_in_data)
    rows.grow(TAGS)
    for _ in range(2):  # the second time from what was kept of the first
        found = parsed(rows.encode(datatype, batch, batch.rows, historical=historical)).metrics
        assert [metric.alias for metric in found] == [alias(tag) for tag in batch.tag.tolist()]
        assert [metric.timestamp for metric in found] == [expected_ms(time) for time in batch.time.tolist()]
        for metric, value, code in zip(found, batch.value, batch.quality.tolist(), strict=True):
            assert metric.HasField("datatype") == datatype_in_data
            assert not datatype_in_data or metric.datatype == datatype
            assert metric.is_historical == historical
            assert properties(metric) == expected_properties(code)
            values = [name for _, name in _values(metric)]
            if code >= 0x8000_0000:
                assert (metric.is_null, values) == (True, [])
            else:
                assert not metric.HasField("is_null")
                assert len(values) == 1
                assert told(metric, batch.kind) == (value.tobytes() if batch.kind is Kind.FLOAT else value)


def _values(metric: Any) -> list[tuple[Any, str]]:
    return [(value, field.name) for field, value in metric.ListFields() if field.name.endswith("_value")]


@settings(deadline=None, max_examples=200)
@given(batches((Kind.OBJECT,), tags=st.integers(0, TAGS - 20), times=TIMES, min_size=1), st.booleans())
def test_texts_waveforms_and_json_are_what_protobuf_reads(batch: Batch, historical: bool) -> None:
    rows = Rows(datatype_in_data=True)
    rows.grow(TAGS)
    for datatype in (Datatype.STRING, Datatype.DOUBLE_ARRAY):
        wanted = batch.where(np.array([metrics.datatype_of(value) == datatype for value in batch.value]))
        if len(wanted) == 0:
            continue
        found = parsed(rows.encode(datatype, wanted, wanted.rows, historical=historical)).metrics
        for metric, value, code in zip(found, wanted.value, wanted.quality.tolist(), strict=True):
            assert metric.is_null == (code >= 0x8000_0000)
            assert properties(metric) == expected_properties(code)
            if code >= 0x8000_0000:
                assert not _values(metric)
            elif datatype is Datatype.DOUBLE_ARRAY:
                assert metric.bytes_value == value.tobytes()
            elif isinstance(value, str):
                assert metric.string_value == value.encode("utf-8", "replace").decode()


@settings(deadline=None, max_examples=200)
@given(batches(times=TIMES, tags=st.integers(0, TAGS - 20), min_size=1), TEXT, st.floats(allow_nan=False))
def test_a_birth_says_what_protobuf_reads(batch: Batch, unit: str, low: float) -> None:
    tag = Tag("plant/press", "force", unit=unit, description="what it is", low=low, high=2.5)
    for i, value in enumerate(batch.value):
        datatype = metrics.DATATYPE.get(batch.kind) or metrics.datatype_of(value)
        code = int(batch.quality[i])
        plain = value.item() if isinstance(value, np.generic) else value
        (metric,) = parsed(metrics.birth("force", 7, tag, datatype, 1_700_000_000_000, plain, code)).metrics
        assert (metric.name, metric.alias, metric.datatype) == ("force", alias(7), datatype)
        assert metric.timestamp == 1_700_000_000_000
        assert metric.is_null == bool(bad(batch.quality)[i])
        assert len(_values(metric)) == (not metric.is_null)
        facts = dict(zip(metric.properties.keys, metric.properties.values, strict=True))
        assert facts["engLow"].double_value == low
        assert facts["documentation"].string_value == "what it is"
        assert ("engUnit" in facts) == bool(unit)
        assert {k: v for k, v in properties(metric).items() if k in ("Quality", "StatusCode")} == expected_properties(
            code
        )


@settings(deadline=None)
@given(st.lists(UINT64, min_size=1, max_size=20))
def test_a_column_of_padded_varints_is_read_as_what_it_is(numbers: list[int]) -> None:
    columns = wire.wide_varints(np.array(numbers, np.uint64), 10)
    assert [parsed(b"\x08" + row.tobytes()).timestamp for row in columns] == numbers


@settings(deadline=None)
@given(st.integers(0, 2**42 - 1))
def test_a_time_of_six_bytes_is_read_as_what_it_is(number: int) -> None:
    columns = wire.wide_varints(np.array([number], np.uint64), 6)
    assert parsed(b"\x08" + columns.tobytes()).timestamp == number


# --- and back -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "name": st.text(max_size=5),
                "alias": UINT64,
                "timestamp": UINT64,
                "datatype": st.integers(0, 40),
                "is_historical": st.booleans(),
                "is_null": st.booleans(),
                "int_value": st.integers(0, 2**32 - 1),
                "long_value": UINT64,
                "float_value": st.floats(width=32, allow_nan=False),
                "double_value": st.floats(allow_nan=False),
                "boolean_value": st.booleans(),
                "string_value": st.text(max_size=5),
                "bytes_value": st.binary(max_size=5),
            },
        ),
        max_size=4,
    ),
    QUALITY,
)
def test_what_protobuf_writes_is_read(drawn: list[dict[str, Any]], seq: int) -> None:
    written = Payload(timestamp=5, seq=seq)
    for fields in drawn:
        metric = written.metrics.add(**fields)
        metric.properties.keys.append("Quality")
        metric.properties.values.add(type=3, int_value=500)
    read = schema.read(written.SerializeToString())
    assert (read["timestamp"], read["seq"]) == (5, seq)
    quality = {"keys": ["Quality"], "values": [{"type": 3, "int_value": 500}]}
    assert read["metrics"] == [fields | {"properties": quality} for fields in drawn]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_payload_or_a_value_error(payload: bytes) -> None:
    try:
        schema.read(payload)
    except ValueError:
        return
    parsed(payload)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ({"datatype": 3, "int_value": 4294967291}, -5),
        ({"datatype": 1, "int_value": 4294967291}, -5),
        ({"datatype": 4, "long_value": 2**64 - 1}, -1),
        ({"datatype": 7, "long_value": 4294967295}, 4294967295),
        ({"datatype": 7, "int_value": 4294967295}, 4294967295),
        ({"datatype": 11, "boolean_value": True}, True),
        ({"datatype": 10, "double_value": 1.5}, 1.5),
        ({"datatype": 12, "string_value": "x"}, "x"),
        ({"datatype": 12, "is_null": True}, None),
    ],
)
def test_values_of_commands(metric: dict[str, Any], value: Any) -> None:
    assert schema.value_of(metric) == value
