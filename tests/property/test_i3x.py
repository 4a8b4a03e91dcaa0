"""i3X: readings by columns are what a plain loop makes of them; a queue loses nothing uncounted."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.i3x import queue
from api.i3x.history import array
from api.i3x.queue import Queue
from api.i3x.values import vqts
from gateway.model import Batch, Kind, Quality
from gateway.payload import encoded, timestamps
from tests.property.strategies import batches


def plain(batch: Batch, row: int) -> dict[str, Any]:
    """One reading as the standard has it."""
    value, code = batch.value[row], int(batch.quality[row])
    told: Any = orjson.loads(encoded(value)) if batch.kind is Kind.OBJECT else value.item()
    quality = ("Good", "Uncertain", "Bad", "Bad")[code >> 30]
    if code >> 16 == Quality.GOOD_NO_DATA >> 16:
        quality = "GoodNoData"
    elif quality != "Bad" and batch.kind is Kind.FLOAT and not math.isfinite(told):
        quality = "Bad"
    elif quality != "Bad" and told is None:
        quality = "GoodNoData"
    return {"value": told if quality in ("Good", "Uncertain") else None, "quality": quality}


@settings(deadline=None)
@given(batches())
def test_columns_are_what_a_plain_loop_makes(batch: Batch) -> None:
    told = orjson.loads(array(vqts(batch.kind, batch.time, batch.value, batch.quality)))
    times = [one.pop("timestamp") for one in told]
    assert told == [plain(batch, row) for row in range(len(batch))]
    for found, wanted in zip(times, timestamps(batch.time), strict=True):
        assert found in (wanted, wanted.replace(".000000Z", "Z"))


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(1, 9), st.just("sync"), st.just("stream"))), st.integers(1, 12))
def test_a_queue_tells_in_order_and_counts_what_it_does_not_tell(does: list[Any], most: int) -> None:
    """Its client acknowledges what it was told."""
    plant: Any = SimpleNamespace(started_ns=0)
    space: Any = SimpleNamespace(heads=np.array([b'"elementId":"a",'], object))
    waiting, put, told, last = Queue(plant), 0, list[float](), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "UPDATES_MAX", most)
        for what in [*does, "sync"]:
            if what == "stream":
                told += [one["value"] for one in orjson.loads(b"[%s]" % waiting.take_all(space))]
            elif what == "sync":
                waiting.acknowledge(last)
                for number, updates in waiting.hand_out(space):
                    assert number > last
                    last = number
                    told += [one["value"] for one in orjson.loads(b"[%s]" % updates)]
                waiting.acknowledge(last)
            else:
                kind = float if put % 2 else int
                waiting.put(Batch.of([0] * what, 1, [kind(put + k) for k in range(what)]))
                put += what
    assert told == sorted(set(told))
    assert len(told) + waiting.dropped == put
    assert not put or told[-1] == put - 1
