"""OPC UA data values to columns: kind, value, quality and time as the server gave them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from asyncua import ua

from gateway.model import Kind
from tests.changes import batches

NOW_NS = 1_767_592_800_000_000_000
Type = ua.VariantType


def data(value: Any, variant_type: Any = None, **more: Any) -> ua.DataValue:
    return ua.DataValue(ua.Variant(value, variant_type), **more)


def single(value: ua.DataValue) -> tuple[Kind, Any, int, int]:
    """Kind, value, quality and time of one change."""
    (batch,) = batches([(7, value)], NOW_NS)
    assert batch.tag.tolist() == [7]
    return batch.kind, batch.value.tolist()[0], batch.quality.tolist()[0], batch.time.tolist()[0]


@pytest.mark.parametrize(
    ("variant_type", "value", "kind"),
    [
        (Type.Boolean, True, Kind.BOOLEAN),
        (Type.SByte, -128, Kind.INTEGER),
        (Type.Byte, 255, Kind.INTEGER),
        (Type.Int16, -32_768, Kind.INTEGER),
        (Type.UInt16, 65_535, Kind.INTEGER),
        (Type.Int32, -(2**31), Kind.INTEGER),
        (Type.UInt32, 2**32 - 1, Kind.INTEGER),
        (Type.Int64, -(2**63), Kind.INTEGER),
        (Type.UInt64, 2**64 - 1, Kind.UNSIGNED),
        (Type.Float, 1.5, Kind.FLOAT),
        (Type.Double, 0.1, Kind.FLOAT),
        (Type.String, "Grüße", Kind.OBJECT),
    ],
)
def test_built_in_types_keep_their_value(variant_type: Any, value: Any, kind: Kind) -> None:
    assert single(data(value, variant_type))[:2] == (kind, value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (data(datetime(2026, 1, 5, 6, 0, 0, 500), Type.DateTime), "2026-01-05T06:00:00.000500Z"),
        (data(b"\x01\x02", Type.ByteString), "AQI="),
        (data(UUID(int=1), Type.Guid), "00000000-0000-0000-0000-000000000001"),
        (data(ua.LocalizedText("Pumpe", "de"), Type.LocalizedText), "Pumpe"),
        (data(ua.LocalizedText(None, "de"), Type.LocalizedText), ""),
        (data(ua.NodeId.from_string("ns=2;s=x"), Type.NodeId), "ns=2;s=x"),
        (data([True, False], Type.Boolean), [True, False]),
        (data(["a", "b"], Type.String), ["a", "b"]),
    ],
)
def test_what_is_no_number_becomes_what_json_can_carry(value: ua.DataValue, told: Any) -> None:
    assert single(value)[:2] == (Kind.OBJECT, told)


@pytest.mark.parametrize("variant_type", [Type.Float, Type.Double, Type.Int16, Type.UInt32, Type.Byte])
def test_arrays_of_numbers_are_waveforms(variant_type: Any) -> None:
    (batch,) = batches([(7, data([1, 2, 3], variant_type))], NOW_NS)
    assert batch.kind is Kind.OBJECT
    assert batch.value[0].dtype == np.float64
    assert batch.value[0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("value", [ua.DataValue(), data(None), ua.DataValue(ua.Variant())])
def test_no_value_is_not_a_number(value: ua.DataValue) -> None:
    kind, found, *_ = single(value)
    assert kind is Kind.FLOAT
    assert np.isnan(found)


@pytest.mark.parametrize("code", [0, 0x4095_0000, 0x800A_0000, 0x8123_4567, 0x0000_0400])
def test_status_codes_pass_through_unchanged(code: int) -> None:
    assert single(data(1.0, StatusCode=ua.StatusCode(ua.UInt32(code))))[2] == code


def test_without_a_status_a_value_is_good() -> None:
    assert single(data(1.0, StatusCode=None))[2] == 0


EARLY, LATE = datetime(2026, 1, 5, 6, 0, 0, 123_456), datetime(2026, 1, 5, 6, 0, 1)


@pytest.mark.parametrize(
    ("times", "time_ns"),
    [
        ({"SourceTimestamp": EARLY, "ServerTimestamp": LATE}, NOW_NS + 123_456_000),
        ({"ServerTimestamp": LATE}, NOW_NS + 1_000_000_000),
        ({}, NOW_NS),
        ({"SourceTimestamp": EARLY.replace(tzinfo=UTC)}, NOW_NS + 123_456_000),
        ({"SourceTimestamp": LATE.replace(hour=7, tzinfo=timezone(timedelta(hours=1)))}, NOW_NS + 1_000_000_000),
        ({"SourceTimestamp": datetime(1969, 12, 31, 23, 59, 59, 999_999)}, -1_000),
    ],
)
def test_source_time_goes_before_server_time_before_now(times: dict[str, datetime], time_ns: int) -> None:
    assert single(data(1.0, **times))[3] == time_ns


@pytest.mark.parametrize("year", [1601, 9999])
def test_times_that_nanoseconds_cannot_hold_do_not_end_the_session(year: int) -> None:
    """1601 is what servers send for "no time" (OPC 10000-6, 5.2.2.5); int64 ns reach from 1677 to 2262."""
    *_, time_ns = single(data(1.0, SourceTimestamp=datetime(year, 1, 1)))
    assert -(2**63) <= time_ns < 2**63


def test_kinds_are_sorted_into_columns_in_order_of_arrival() -> None:
    changes = [(1, data(1.5)), (2, data(True)), (1, data(2.5)), (3, data("x")), (2, data(False))]
    assert [(b.kind, b.tag.tolist(), b.value.tolist()) for b in batches(changes, NOW_NS)] == [
        (Kind.FLOAT, [1, 1], [1.5, 2.5]), (Kind.BOOLEAN, [2, 2], [True, False]), (Kind.OBJECT, [3], ["x"]),
    ]  # fmt: skip
    assert batches([], NOW_NS) == []
