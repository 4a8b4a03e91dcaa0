"""Payloads: strict JSON whatever the readings are, nothing of them changed, and the same readings back."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Kind, Record, Tag
from gateway.model.batch import objects
from gateway.payload import batch_message, parse, tag_messages, timestamps
from tests.property.strategies import FLOATS, INT64, batches, exact

UNITS = ["", "Cel", "µm", "%", '"', "\\", "温", "m/s2"]
TAGS = [Tag("acme/dresden/filler", f"tag{n}", unit=UNITS[n]) for n in range(8)]
CATALOG = Catalog(TAGS)
SAFE = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8259, section 6)."""

"""BadWaitingForInitialData: there is no time to tell."""

TEXT = st.text(max_size=6)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-SAFE, SAFE), st.floats(allow_nan=False, allow_infinity=False), TEXT
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def readings(draw: st.DrawFn) -> Batch:
    """A batch of any kind; objects are what the contract allows: text, JSON, waveforms."""
    batch = draw(batches(min_size=1, max_size=8))
    tag, value = batch.tag % np.uint32(len(TAGS)), batch.value
    if batch.kind is Kind.OBJECT:
        value = objects(draw(st.lists(st.one_of(TEXT, JSON, FLOATS), min_size=len(batch), max_size=len(batch))))
    return Batch(tag, batch.time, value, batch.quality)


RECORD = st.lists(readings(), min_size=1, max_size=3).map(lambda parts: Record(9, 0, 7, 1234, 0, tuple(parts)))


def refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def strict(payload: bytes) -> Any:
    return json.loads(payload.decode("utf-8", "strict"), parse_constant=refused)


def carried(kind: Kind, value: Any, quality: int) -> tuple[Any, int]:
    """What a reader should find for one reading: value and status."""
    if quality >= 0x8000_0000:
        return None, quality
    if kind is Kind.FLOAT:
        return (value, quality) if np.isfinite(value) else (None, 0x803C_0000)
    if isinstance(value, np.ndarray):
        return [x if np.isfinite(x) else None for x in value.tolist()], quality
    if type(value) is int and abs(value) > SAFE:
        return str(value), quality
    return value, quality


def expected(record: Record) -> list[tuple[str, int, Any, int]]:
    """The rows of a record as a reader should find them: tag, time in microseconds, exact value, status."""
    found = []
    for batch in record.batches:
        columns = (batch.tag.tolist(), batch.time.tolist(), batch.value.tolist(), batch.quality.tolist())
        for tag, time, value, quality in zip(*columns, strict=True):
            told, status = carried(batch.kind, value, quality)
            found.append((TAGS[tag].name, time // 1000, exact(told), status))
    return found


@settings(deadline=None, max_examples=200)
@given(RECORD)
def test_a_batch_message_is_strict_json_with_every_reading_in_it(record: Record) -> None:
    message = strict(batch_message(record, CATALOG, "gw1"))
    assert (message["v"], message["gateway"], message["boot"], message["seq"]) == (1, "gw1", 7, 1234)
    n = len(message["tags"])
    one_time = len({time for batch in record.batches for time in batch.time.tolist()}) == 1
    assert isinstance(message["time"], int) is one_time
    time = [message["time"]] * n if one_time else message["time"]
    all_good = all(status == 0 for *_, status in expected(record))
    assert ("status" in message) is not all_good
    status = message.get("status", [0] * n)
    rows = zip(message["tags"], time, map(exact, message["values"]), status, strict=True)
    assert list(rows) == expected(record)


@settings(deadline=None, max_examples=150)
@given(RECORD, st.booleans())
def test_what_is_parsed_is_what_was_written(record: Record, historical: bool) -> None:
    record = replace(record, batches=tuple(replace(batch, historical=historical) for batch in record.batches))
    message = parse(batch_message(record, CATALOG, "gw1"))
    assert (message.gateway, message.boot, message.sequence) == ("gw1", 7, 1234)
    assert message.historical is historical
    rows = zip(message.tags, message.time_us, map(exact, message.values), message.status, strict=True)
    assert list(rows) == expected(record)


def floats(bits: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The finite numbers with these bits."""
    value = bits.view(np.float64)
    return np.extract(np.isfinite(value), value)


@pytest.mark.parametrize("patterns", ["every sign and exponent", "random"])
def test_floats_come_back_bit_by_bit(patterns: str) -> None:
    if patterns == "random":
        value = floats(np.random.default_rng(1).integers(0, 2**64, 100_000, np.uint64, endpoint=False))
    else:
        value = floats(np.arange(2**16, dtype=np.uint64) << np.uint64(48))
    assert len(value) > 60_000
    record = Record(1, 0, 1, 1, 0, (Batch.of([0] * len(value), 0, value),))
    back = np.array(parse(batch_message(record, CATALOG, "gw1")).values)
    assert back.dtype == np.float64
    assert (back.view(np.uint64) == value.view(np.uint64)).all()


def test_floats_are_written_as_short_as_they_can_be() -> None:
    record = Record(1, 0, 1, 1, 0, (Batch.of([0] * 4, 0, np.array([0.1, 72.3, 1 / 3, 100.0])),))
    assert b'"values":[0.1,72.3,0.3333333333333333,100.0]' in batch_message(record, CATALOG, "gw1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([SAFE, -SAFE]), b"[9007199254740991,-9007199254740991]"),
        (np.array([SAFE + 1, -SAFE - 1]), b'["9007199254740992","-9007199254740992"]'),
        (np.array([-(2**63), 2**63 - 1]), b'["-9223372036854775808","9223372036854775807"]'),
        (np.array([0, 2**64 - 1], np.uint64), b'[0,"18446744073709551615"]'),
        (np.array([np.nan, np.inf]), b"[null,null]"),
        (np.array([True, False]), b"[true,false]"),
        (objects(["a", {"n": [1.5]}]), b'["a",{"n":[1.5]}]'),
        (objects([np.array([1.0, np.nan]), None]), b"[[1.0,null],null]"),
    ],
)
def test_values_as_the_contract_writes_them(value: Any, text: bytes) -> None:
    assert b'"values":' + text in batch_message(Record(1, 0, 1, 1, 0, (Batch.of([0, 1], 0, value),)), CATALOG, "gw1")


ODD = {
    "lone surrogate": "\ud800",
    "lone surrogate within": {"\ud800": ["a\udfff"]},
    "integer beyond 64 bits within": [2**64, {"n": -(2**70)}],
    "integer beyond 2^53 within": [2**53],
    "no number within": [float("nan"), {"x": float("inf")}],
    "every second sample": np.arange(8.0)[::2],
}
"""Values that the model allows and that JSON, or its encoder, does not carry as they are."""


@pytest.mark.parametrize("name", ODD)
def test_odd_values_cannot_stop_the_bus(name: str) -> None:
    """A message that cannot be encoded would come again for ever, and hold up everything behind it."""
    batch = Batch.of([0, 1], 0, objects([ODD[name], "next"]))
    message = strict(batch_message(Record(1, 0, 1, 1, 0, (batch,)), CATALOG, "gw1"))
    assert (len(message["values"]), message["values"][1]) == (2, "next")
    large = json.dumps(message["values"][0], ensure_ascii=True)
    assert not any(abs(int(digits)) > SAFE for digits in numbers(strict(large.encode())))
    (_, first), (_, second) = tag_messages(batch, TAGS[:2])
    assert (strict(first)["value"], strict(second)["value"]) == tuple(message["values"])


def numbers(value: Any) -> list[int]:
    """The integers within a JSON value."""
    match value:
        case bool():
            return []
        case int():
            return [value]
        case list():
            return [n for item in value for n in numbers(item)]
        case dict():
            return [n for item in value.values() for n in numbers(item)]
        case _:
            return []


@pytest.mark.parametrize("value", [np.arange(8.0), np.arange(8), np.arange(8) % 2 == 0])
def test_columns_need_not_lie_together_in_memory(value: Any) -> None:
    every_second = slice(None, None, 2)
    tag, time, quality = np.zeros(8, np.uint32), np.arange(8), np.arange(8, dtype=np.uint32)
    batch = Batch(tag[every_second], time[every_second], value[every_second], quality[every_second])
    message = strict(batch_message(Record(1, 0, 1, 1, 0, (batch,)), CATALOG, "gw1"))
    assert message["values"] == value.tolist()[every_second]
    assert message["status"] == [0, 2, 4, 6]


# --- one topic per tag --------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(readings())
def test_tag_messages_say_the_same_one_by_one(batch: Batch) -> None:
    tags = [TAGS[number] for number in batch.tag.tolist()]
    found = list(tag_messages(batch, tags))
    assert [tag for tag, _ in found] == tags
    rows = zip(found, expected(Record(1, 0, 1, 1, 0, (batch,))), batch.time.tolist(), strict=True)
    for (tag, payload), (_, time, value, status), time_ns in rows:
        message = strict(payload)
        assert exact(message.pop("value")) == value
        assert message.pop("timestamp") == (None if time_ns == 0 else rfc3339(time))
        assert message.pop("quality") == ["good", "uncertain", "bad", "bad"][status >> 30]
        assert message.pop("unit", "") == tag.unit
        assert message.pop("status", 0) == status
        assert ("reason" in message) is (status != 0)
        message.pop("reason", None)
        assert message == {}


def test_a_tag_message_as_the_contract_writes_it() -> None:
    at = 1_767_592_800_123_456_000
    batch = Batch.of([1, 2, 0], at, np.array([72.4, 1.0, 2.0]), [0, 0x408F_0000, 0x800A_0000])
    assert [payload for _, payload in tag_messages(batch, [TAGS[1], TAGS[2], TAGS[0]])] == [
        b'{"value":72.4,"timestamp":"2026-01-05T06:00:00.123456Z","quality":"good","unit":"Cel"}',
        b'{"value":1.0,"timestamp":"2026-01-05T06:00:00.123456Z","quality":"uncertain","status":1083113472,'
        b'"reason":"UncertainNoCommunicationLastUsableValue","unit":"' + "µm".encode() + b'"}',
        b'{"value":null,"timestamp":"2026-01-05T06:00:00.123456Z","quality":"bad","status":2148139008,'
        b'"reason":"BadTimeout"}',
    ]


def test_a_tag_that_was_never_read_has_neither_value_nor_time() -> None:
    ((_, payload),) = tag_messages(Batch.of([0], 0, np.nan, 0x8032_0000), TAGS[:1])
    assert payload == (
        b'{"value":null,"timestamp":null,"quality":"bad","status":2150760448,"reason":"BadWaitingForInitialData"}'
    )


def rfc3339(time_us: int) -> str:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


@settings(deadline=None, max_examples=200)
@given(st.lists(INT64, max_size=4))
def test_timestamps_match_the_calendar_before_1970_and_far_ahead(time: list[int]) -> None:
    assert timestamps(np.array(time, np.int64)) == [rfc3339(ns // 1000) for ns in time]


# --- and back -----------------------------------------------------------------------------

FIELDS = ["gateway", "boot", "seq", "time", "tags", "values", "status", "historical"]


@settings(deadline=None, max_examples=250)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)), st.sampled_from(FIELDS), JSON)
def test_what_is_no_message_is_a_value_error(fields: dict[str, Any], at: str, value: Any) -> None:
    whole = {"gateway": "gw1", "boot": 1, "seq": 1, "time": 0, "tags": ["x"], "values": [1.5], "status": [0]}
    for wrong in (fields, whole | {at: value}):
        try:
            message = parse(json.dumps(wrong).encode())
        except ValueError:
            continue
        assert all(
            isinstance(column, list) for column in (message.time_us, message.tags, message.values, message.status)
        )
        assert all(isinstance(name, str) for name in message.tags)
        assert isinstance(message.historical, bool)
        assert all(
            isinstance(code, int) for code in [*message.time_us, *message.status, message.boot, message.sequence]
        )


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"5", b'"text"', b"null", b"\xff", b'{"tags":[NaN]}'])
def test_what_is_no_json_or_no_object_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a batch message"):
        parse(payload)


def test_columns_of_different_length_are_no_message() -> None:
    with pytest.raises(ValueError, match="its columns differ in length"):
        parse(b'{"gateway":"g","boot":1,"seq":1,"time":0,"tags":["x","y"],"values":[1]}')
