"""Derived tags: formulas against Python's own arithmetic, times against a plain loop, whatever comes when."""

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, Catalog, Quality, Tag
from gateway.signals import derived
from gateway.signals._expression import LENGTH_MAX, Expression

NUMBERS = st.one_of(st.integers(-9, 9).map(float), st.floats(-1e6, 1e6))


def formulas() -> st.SearchStrategy[str]:
    """Formulas of a, b and numbers that Python can compute as well."""
    leaves = st.one_of(st.sampled_from(["a", "b", "pi", "2", "0.5", "1e3"]))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner).map(
                lambda p: f"({p[0]} {p[1]} {p[2]})"
            ),
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
                lambda p: f"(1 if {p[0]} {p[1]} {p[2]} else 0)"
            ),
            st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
            st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} < {p[1]} <= {p[2]})"),
            inner.map(lambda p: f"(not {p})"),
            inner.map(lambda p: f"abs(-{p})"),
            st.tuples(inner, inner).map(lambda p: f"max({p[0]}, {p[1]}, 1)"),
        ),
        max_leaves=12,
    )


@settings(deadline=None, max_examples=300)
@given(formulas(), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4))
def test_a_formula_is_what_python_makes_of_it(text: str, rows: Sequence[tuple[float, float]]) -> None:
    found = Expression(text + " + 0*(a+b)")({"a": np.array([a for a, _ in rows]), "b": np.array([b for _, b in rows])})
    for got, (a, b) in zip(found.tolist(), rows, strict=True):
        names = {"a": a, "b": b, "pi": math.pi, "abs": abs, "max": max}
        assert got == pytest.approx(float(eval(text, {"__builtins__": {}}, names)), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__import__('os')", "__import__('os') is not allowed"),
        ("a.real", "a.real is not allowed"),
        ("a[0]", "a[0] is not allowed"),
        ("[a for a in b]", "is not allowed"),
        ("(lambda: a)()", "is not allowed"),
        ("a and 'text'", "'text' is not allowed"),
        ("a @ b", "a @ b is not allowed"),
        ("a if b", "is no formula"),
        ("a = 1", "is no formula"),
        ("", "is no formula"),
        ("max(a)", "max takes 2 to 20 values, not 1"),
        ("sqrt(a, b)", "sqrt takes 1 values, not 2"),
        ("-" * 100 + "a", "nested too deeply"),
        ("a+" * LENGTH_MAX + "a", f"{LENGTH_MAX} are allowed"),
        ("(" * 900 + "a" + ")" * 900, "is no formula"),
    ],
)
def test_what_is_no_formula_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Expression(text)


def test_what_has_no_value_is_bad_and_harms_no_other() -> None:
    signal = watching("a / b", ["a", "b"])
    found = [row for b in signal.update(batch([(0, 1, 6.0, 0), (1, 1, 0.0, 0), (1, 2, 3.0, 0)])) for row in rows(b)]
    found += [row for b in signal.update(batch([(0, 2, 9.0, 0)])) for row in rows(b)]
    assert found == [(1, None, Quality.BAD_OUT_OF_RANGE), (2, 3.0, 0)]


# --- times --------------------------------------------------------------------------------

Reading = tuple[int, int, float, int]
"""Place of the tag, time, value, quality."""


def watching(formula: str, names: Sequence[str]) -> derived.Derived:
    catalog = Catalog([Tag("cell", name) for name in names])
    options = derived.Options(asset="cell", formula=formula)
    return derived.signal(options, {"value": catalog.add(Tag("cell", "x"))}, catalog)


def batch(readings: Sequence[Reading]) -> Batch:
    tag, time, value, quality = zip(*readings, strict=True)
    return Batch.of(list(tag), list(time), np.array(value, np.float64), list(quality))


def rows(found: Batch) -> list[tuple[int, float | None, int]]:
    value = [None if isinstance(v, float) and math.isnan(v) else v for v in found.value.tolist()]
    return list(zip(found.time.tolist(), value, found.quality.tolist(), strict=True))


def by_hand(readings: Iterable[Reading]) -> list[tuple[int, float | None, int]]:
    """a + b, one reading at a time."""
    value, quality = [math.nan] * 2, [int(Quality.BAD_WAITING_FOR_INITIAL_DATA)] * 2
    found: list[tuple[int, float | None, int]] = []
    now, lacking, told = None, {0, 1}, True

    def tell(time: int) -> None:
        worst = max(quality)
        found.append((time, None if worst >= Quality.BAD_UNEXPECTED_ERROR else sum(value), worst))

    for place, time, x, code in readings:
        time = time if now is None else max(time, now)
        if time != now:
            if now is not None and not told:
                tell(now)
            now, lacking, told = time, {0, 1}, False
        value[place], quality[place] = x, code
        lacking.discard(place)
        if not lacking and not told:
            tell(now)
            told = True
    return found


CODES = st.sampled_from([0, int(Quality.UNCERTAIN_LAST_USABLE_VALUE), int(Quality.BAD_NO_COMMUNICATION)])


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(-5, 5).map(float), CODES), min_size=1, max_size=30
    ),
    st.booleans(),
    st.data(),
)
def test_a_time_is_told_once_when_all_have_told_of_it(
    readings: list[Reading], in_order: bool, data: st.DataObject
) -> None:
    if in_order:
        readings.sort(key=lambda reading: reading[1])
    signal = watching("a + b", ["a", "b"])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(readings)))) | {0, len(readings)})
    parts: list[Any] = [signal.update(batch(readings[a:b])) for a, b in itertools.pairwise(cuts)]
    assert [row for part in parts for found in part for row in rows(found)] == by_hand(readings)


def test_a_comparison_is_true_or_false_and_texts_are_passed_over() -> None:
    signal = watching("a < b", ["a", "b"])
    assert signal.update(Batch.of([0], 1, ["text"])) == ()
    (found,) = signal.update(batch([(0, 1, 1.0, 0), (1, 1, 2.0, 0)]))
    assert found.value.tolist() == [True]
