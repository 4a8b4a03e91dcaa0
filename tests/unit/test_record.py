"""Record: how much it holds, and about how much memory that takes."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.model import Batch, Record
from gateway.model.batch import objects


def record(*batches: Batch) -> Record:
    return Record(1, 0, 1, 1, 0, batches)


def test_its_length_is_that_of_all_batches() -> None:
    assert len(record()) == 0
    assert len(record(Batch.of([1, 2], 0, 1.5), Batch.of([3], 0, True))) == 3


@pytest.mark.parametrize(
    "value", [np.zeros(1000), np.zeros(1000, np.int64), np.zeros(1000, np.uint64), np.zeros(1000, np.bool_)]
)
def test_its_size_is_that_of_its_columns(value: NDArray[Any]) -> None:
    batch = Batch.of(range(1000), range(1000), value)
    columns = batch.tag.nbytes + batch.time.nbytes + batch.value.nbytes + batch.quality.nbytes
    assert columns <= record(batch).nbytes <= columns + 100


def test_waveforms_count_with_all_their_samples() -> None:
    waveforms = Batch.of([1, 2], 0, objects([np.zeros(4096), np.zeros(4096)]))
    assert 2 * 8 * 4096 <= record(waveforms).nbytes <= 2 * 8 * 4096 + 1000
