"""Payloads of sensors: what is a value, what is a time, and what is said of those that are neither."""

import math
from typing import Any

import numpy as np
import pytest

from connectors._bus import values
from connectors._bus.options import DeviceOptions, TagOptions
from connectors._bus.path import JsonPath, parse
from gateway.model import Kind

NAN = math.nan


@pytest.mark.parametrize(
    ("payload", "kind", "value"),
    [
        (b"23.5", "auto", 23.5),
        (b" 23 ", "auto", 23.0),
        (b"-1e3", "auto", -1000.0),
        (b"true", "auto", True),
        (b'"on"', "auto", "on"),
        ("Grüße".encode(), "auto", "Grüße"),
        (b"NaN", "auto", NAN),
        (b"-Infinity", "auto", NAN),
        (b"nan", "number", NAN),
        (b"", "number", None),
        (b"null", "integer", None),
        (b"18446744073709551615", "integer", 2**64 - 1),
        (b'"-9007199254740993"', "integer", -9007199254740993),
        (b"7.0", "integer", 7),
        (b"ON", "boolean", True),
        (b"0", "boolean", False),
        (b"[1.5,2.5]", "json", [1.5, 2.5]),
        (b'{"a":[1,null]}', "json", {"a": [1, None]}),
        (b'{"a": 1}', "text", '{"a":1}'),
    ],
)
def test_a_payload_is_a_value(payload: bytes, kind: str, value: Any) -> None:
    got = values.converted(values.plain(payload), kind)
    if isinstance(value, float) and math.isnan(value):
        assert math.isnan(got)
    else:
        assert (got.tolist() if isinstance(got, np.ndarray) else got) == value
        assert isinstance(got, np.uint64) or type(got) is type(value) or isinstance(got, np.ndarray)


@pytest.mark.parametrize(
    ("payload", "kind", "words"),
    [
        (b"unavailable", "number", "'unavailable' is no number"),
        (b"true", "number", "'True' is no number"),
        (b"23,5", "number", "'23,5' is no number"),
        (b"7.5", "integer", "'7.5' is no integer of 64 bits"),
        (b"18446744073709551616", "integer", "is no integer"),
        (b"yes", "boolean", "neither true nor false"),
        (b'{"c":1}', "auto", r"say value: \$.name, or type: json"),
        (b"\xff\xfe", "auto", "no text in UTF-8"),
        (b"x" * 100_000, "number", r"'x{40}\.\.\.' is no number"),
        (b"a\nb", "number", r"'a\\nb' is no number"),
    ],
)
def test_what_is_no_value_is_said(payload: bytes, kind: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        values.converted(values.plain(payload), kind)


@pytest.mark.parametrize(
    ("time", "unit", "ns"),
    [
        (1_763_784_000, "s", 1_763_784_000_000_000_000),
        (1_763_784_000.123456, "s", 1_763_784_000_123_456_000),
        ("1763784000.5", "s", 1_763_784_000_500_000_000),
        (1_763_784_000_123, "ms", 1_763_784_000_123_000_000),
        (1_763_784_000_123_456, "us", 1_763_784_000_123_456_000),
        (1_763_784_000_123_456_789, "ns", 1_763_784_000_123_456_789),
        ("2025-11-22T04:00:00.123456Z", "iso", 1_763_784_000_123_456_000),
        ("2025-11-22T05:00:00.123456789+01:00", "iso", 1_763_784_000_123_456_000),
        ("2025-11-22 04:00:00", "iso", 1_763_784_000_000_000_000),
        ("1960-01-01T00:00:00Z", "iso", -315_619_200_000_000_000),
    ],
)
def test_a_time_is_exact(time: Any, unit: str, ns: int) -> None:
    assert values.time_ns(time, unit) == ns


@pytest.mark.parametrize(
    ("time", "unit", "words"),
    [
        (1_763_784_000, "iso", "say its time_unit"),
        ("noon", "iso", "'noon' is no time in iso"),
        (None, "ms", "'None' is no time in ms"),
        (1_763_784_000_123, "s", "before 2262"),
        (float("inf"), "s", "no time in s"),
        ("9999-01-01T00:00:00Z", "iso", "before 2262"),
    ],
)
def test_what_is_no_time_is_said(time: Any, unit: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        values.time_ns(time, unit)


def test_values_of_all_kinds_are_one_batch_each() -> None:
    told = [1.5, 2, True, "x", None, None, np.uint64(2**63), [1, "a"]]
    readings = [(i, 100 + i, value, 0x80000000 if i == 4 else 0) for i, value in enumerate(told)]
    batches = {batch.kind: batch for batch in values.rows(readings, late=True)}
    assert {kind: batch.tag.tolist() for kind, batch in batches.items()} == {
        Kind.FLOAT: [0, 4],
        Kind.INTEGER: [1],
        Kind.UNSIGNED: [6],
        Kind.BOOLEAN: [2],
        Kind.OBJECT: [3, 5, 7],
    }
    assert math.isnan(batches[Kind.FLOAT].value[1])
    assert batches[Kind.OBJECT].value.tolist() == ["x", None, [1, "a"]]
    assert all(batch.historical and (batch.time == 100 + batch.tag).all() for batch in batches.values())


@pytest.mark.parametrize("text", ["$", "$.a", "$.temp.c", "$.values[0]", "$['water level'][12].x"])
def test_a_path_is_written_as_it_is_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["", "a", "$a", "$.", "$.a.", "$[x]", "$..a", "$[-1]", 7])
def test_what_is_no_path_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="is no path: write"):
        parse(text)


def test_a_path_finds_one_place_or_none() -> None:
    document = {"a": {"b": [1, {"c": 2}]}, "t": "text", "0": 5}
    assert parse("$.a.b[1].c").find(document) == 2
    assert parse("$").find(document) is document
    for text in ("$.x", "$.a.b[2]", "$.a[0]", "$.t[0]", "$.t.x", "$[0]"):
        with pytest.raises(ValueError, match="there is no"):
            parse(text).find(document)
        assert parse(text).find(document, 0) == 0
    assert JsonPath().find(None) is None


@pytest.mark.parametrize(
    ("model", "keys", "words"),
    [
        (TagOptions, {"topic": "hall/+/t"}, "is many topics, and a tag is one value"),
        (TagOptions, {"topic": "hall/#"}, "is many topics"),
        (TagOptions, {"topic": "a\0b"}, "no NUL"),
        (TagOptions, {"value": "$.a"}, "value can only be said of a tag with a topic"),
        (TagOptions, {"topic": "a", "name": "b"}, "a tag with a topic has none"),
        (TagOptions, {"topic": "a", "value": "temp"}, "is no path"),
        (DeviceOptions, {"batch": "uns/acme/dresden"}, "must be uns/enterprise/site/asset"),
        (DeviceOptions, {"batch": "other/acme/dresden/x"}, "with root 'uns'"),
        (DeviceOptions, {"batch": "uns/a/b/c", "sparkplug": "g/n"}, "two sources"),
        (DeviceOptions, {"sparkplug": "g"}, "must be group/node or group/node/device"),
        (DeviceOptions, {"sparkplug": "g/+/d"}, "must be group/node"),
    ],
)
def test_keys_that_make_no_sense_are_refused(model: type, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model(**keys)
