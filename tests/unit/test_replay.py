"""Replay: what a request is, and which sequences an answer has to name as missing."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bus.replay import Request, _gaps, parse

ASKED = {"id": "r1", "reply": "erp", "asset": "hall/press", "first": 3, "last": 9}


def test_a_request_is_read() -> None:
    assert parse(orjson.dumps(ASKED)) == Request("r1", "erp", "hall/press", 3, 9)
    assert parse(orjson.dumps(ASKED | {"boot": 7})) == parse(orjson.dumps(ASKED))


@pytest.mark.parametrize(
    "wrong",
    [
        {"reply": "a/b"},
        {"reply": "#"},
        {"reply": "+"},
        {"reply": ""},
        {"reply": "x" * 65},
        {"reply": 5},
        {"id": None},
        {"id": "x" * 2000},
        {"asset": ["hall"]},
        {"first": 0},
        {"first": 10},
        {"first": True, "last": True},
        {"first": 1.0},
        {"last": 2**63},
        {"last": "9"},
    ],
)
def test_what_is_no_request_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a request"):
        parse(orjson.dumps(ASKED | wrong))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b'{"id":"x"}', b"\xff"])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not a request"):
        parse(payload)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.data())
def test_gaps_are_what_is_left_of_a_plain_set(first: int, length: int, data: st.DataObject) -> None:
    wanted = range(first, first + length + 1)
    found = sorted(data.draw(st.sets(st.sampled_from(wanted))))
    told = _gaps(found, wanted[0], wanted[-1])
    assert [n for a, b in told for n in range(a, b + 1)] == sorted(set(wanted) - set(found))
    assert all(a <= b for a, b in told)
    assert all(b + 1 < c for (_, b), (c, _) in pairwise(told))
