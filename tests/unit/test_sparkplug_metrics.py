"""What Sparkplug metrics cost is measured by what ships, so it has to run; and the standard's own bytes."""

import numpy as np

from gateway.bench import sparkplug
from gateway.bus.sparkplug.metrics import Rows
from gateway.bus.sparkplug.node import death
from gateway.model import Batch

START_NS = 1_700_000_000_000_000_000


def test_the_bench_measures_every_kind_of_value() -> None:
    rows = sparkplug.measure(50, 0.01)
    assert [row.name for row in rows] == ["float64", "int64 below 2^16", "int64", "bool"]
    assert all(row.cpu > 0 and row.json_cpu > 0 and 4 < row.bytes_per_value < 60 for row in rows)
    assert len(sparkplug.table(rows)) == 5


def test_a_death_has_the_bytes_of_the_reference() -> None:
    """Written by the schema of the specification."""
    assert death(0, 1_700_000_000_000).hex() == "0880d095ffbc3112120a0562645365711880d095ffbc3120045800"


def test_data_has_the_bytes_of_the_reference_but_for_its_aliases() -> None:
    rows = Rows(datatype_in_data=False)
    rows.grow(3)

    def encoded(tag: int, time_ms: int, value: object, datatype: int, code: int = 0, *, late: bool = False) -> bytes:
        batch = Batch.of([tag], START_NS + time_ms * 1_000_000, [value], code)
        return rows.encode(datatype, batch, batch.rows, historical=late)

    def given(text: str) -> bytes:
        return bytes.fromhex(text)

    assert encoded(1, 990, 21.75, 10) == given("1214 10818001 18ded795ffbc31 69 0000000000c03540")
    assert encoded(1, 1500, 1.0, 10, late=True) == given("1216 10818001 18dcdb95ffbc31 2801 69 000000000000f03f")
    assert encoded(2, 990, -6, 4) == given("1216 10828001 18ded795ffbc31 58 faffffffffffffffff01")
    assert encoded(0, 0, True, 11) == given("120d 10808001 1880d095ffbc31 7001")
    null = encoded(0, 0, np.nan, 10, code=0x800A_0000)
    assert null[1] == len(null) - 2
    assert null[2:].startswith(given("10808001 1880d095ffbc31 3801 4a"))
