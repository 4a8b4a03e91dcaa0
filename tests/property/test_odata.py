"""$filter does what a plain evaluator does with the same tree, and any other text is refused and nothing worse."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.odata import filtering, ordered, ordering, selecting
from api.times import time_ns

COLUMNS = {"ID": "string", "Unit": "string", "Quantity": "number", "OEE": "number", "Open": "boolean", "Start": "time"}
DAYS = [f"2026-01-0{day}T06:00:00Z" for day in range(1, 6)]
TEXTS = st.text("aB'% ,()", max_size=4)
NUMBERS = st.one_of(st.integers(-5, 5), st.sampled_from([0.5, -1.25, 1e3]))
LITERALS = {
    "string": TEXTS.map(lambda text: ("literal", text, "'" + text.replace("'", "''") + "'")),
    "number": NUMBERS.map(lambda number: ("literal", number, repr(number))),
    "boolean": st.booleans().map(lambda fact: ("literal", fact, str(fact).lower())),
    "time": st.sampled_from(DAYS).map(lambda day: ("literal", time_ns(day, 0), day)),
}
NULL = ("literal", None, "null")


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


ROWS = st.fixed_dictionaries(
    {
        "ID": TEXTS,
        "Unit": maybe(TEXTS),
        "Quantity": maybe(NUMBERS),
        "OEE": maybe(NUMBERS),
        "Open": st.booleans(),
        "Start": maybe(st.sampled_from([time_ns(day, 0) for day in DAYS])),
    }
)


def plain(kind: str) -> st.SearchStrategy[Any]:
    names = [name for name, type_ in COLUMNS.items() if type_ == kind]
    return st.one_of(st.sampled_from(names).map(lambda name: ("column", name)), LITERALS[kind])


def terms(kind: str) -> st.SearchStrategy[Any]:
    """A value of a kind: a column, a literal or a function of one."""
    texts = st.tuples(st.sampled_from(["tolower", "toupper"]), plain("string"))
    counts = st.one_of(st.tuples(st.just("length"), plain("string")), st.tuples(st.just("day"), plain("time")))
    functions = {"string": texts, "number": counts}
    return st.one_of(plain(kind), functions[kind]) if kind in functions else plain(kind)


@st.composite
def comparisons(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["string", "number", "time"]))
    left, right = draw(terms(kind)), draw(st.one_of(terms(kind), st.just(NULL)))
    return (draw(st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])), left, right)


TREES = st.recursive(
    st.one_of(
        comparisons(),
        st.tuples(st.sampled_from(["contains", "startswith", "endswith"]), terms("string"), terms("string")),
        st.tuples(st.just("in"), terms("string"), st.lists(LITERALS["string"], min_size=1, max_size=3)),
        terms("boolean"),
    ),
    lambda inner: st.one_of(st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["and", "or"]), inner, inner)),
    max_leaves=6,
)


def written(tree: Any) -> str:
    match tree:
        case ("literal", _, text):
            return str(text)
        case ("column", name):
            return str(name)
        case ("not", inner):
            return f"not ({written(inner)})"
        case ("in", left, among):
            return f"{written(left)} in ({', '.join(map(written, among))})"
        case (("and" | "or" | "eq" | "ne" | "gt" | "ge" | "lt" | "le") as name, left, right):
            return f"({written(left)} {name} {written(right)})"
        case (name, *arguments):
            return f"{name}({','.join(map(written, arguments))})"
    raise AssertionError(tree)


def day_of(ns: int) -> int:
    return int(next(text for text in DAYS if time_ns(text, 0) == ns)[8:10])


def valued(tree: Any, row: Mapping[str, Any]) -> Any:
    match tree:
        case ("literal", value, _):
            return value
        case ("column", name):
            return row[name]
        case ("not", inner):
            return not valued(inner, row)
        case ("and", left, right):
            return bool(valued(left, row)) and bool(valued(right, row))
        case ("or", left, right):
            return bool(valued(left, row)) or bool(valued(right, row))
        case ("in", left, among):
            return valued(left, row) in [valued(one, row) for one in among]
    name, *arguments = tree
    values = [valued(one, row) for one in arguments]
    if name in ("eq", "ne"):
        return (values[0] == values[1]) == (name == "eq")
    if None in values:
        return False if name in ("gt", "ge", "lt", "le") else None
    a, b = values[0], values[-1]
    if name in ("tolower", "toupper"):
        return a.lower() if name == "tolower" else a.upper()
    found: dict[str, Callable[[], Any]] = {
        "gt": lambda: a > b, "ge": lambda: a >= b, "lt": lambda: a < b, "le": lambda: a <= b,
        "contains": lambda: a.find(b) >= 0, "startswith": lambda: a[: len(b)] == b,
        "endswith": lambda: b == "" or a[-len(b) :] == b, "length": lambda: len(a), "day": lambda: day_of(a),
    }  # fmt: skip
    return found[name]()


@settings(deadline=None, max_examples=100)
@given(TREES, ROWS)
def test_a_filter_is_what_its_tree_says(tree: Any, row: Mapping[str, Any]) -> None:
    assert bool(filtering(written(tree), COLUMNS).of(row)) == bool(valued(tree, row))


TOKENS = ["ID", "OEE", "Open", "Start", "eq", "and", "or", "not", "in", "(", ")", ",", "contains", "null", "'a'", "'"]
WORDS = st.sampled_from([*TOKENS, "1", "2026-01-01", "2026-99-99T00:00:00Z", "__class__", "1e999", "$it"])


@settings(deadline=None, max_examples=100)
@given(st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=9).map(" ".join)), ROWS)
def test_any_text_is_a_filter_or_refused(text: str, row: Mapping[str, Any]) -> None:
    try:
        found = filtering(text, COLUMNS)
    except ValueError:
        return
    found.of(row)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("OEE gt 'a'", "gt: a number cannot be compared with a string"),
        ("OEE", "$filter takes a boolean, not a number"),
        ("OEE gt", "$filter: a value is expected at 7, not the end"),
        ("Oee gt 1", f"$filter: a column ({', '.join(COLUMNS)}), a function or a literal is expected at 1, not Oee"),
        ("contains(ID)", "contains takes 2 arguments, not 1"),
        ("Open Open", "$filter: the end, and or or is expected at 6, not Open"),
        ("ID eq \"a\"", "$filter: '\"a\"' at 6 is nothing known"),
        ("(" * 40 + "Open" + ")" * 40, "$filter is nested deeper than 30"),
        ("Open and " * 300 + "Open", "$filter has 2704 characters: 2000 are the most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        filtering(text, COLUMNS)


def test_only_columns_that_are_looked_at_are_named() -> None:
    assert filtering("OEE gt 0.5 and contains(tolower(Unit),'fill')", COLUMNS).columns == {"OEE", "Unit"}


@settings(deadline=None, max_examples=50)
@given(st.lists(ROWS, max_size=8))
def test_rows_are_ordered_as_by_one_comparison(rows: list[Mapping[str, Any]]) -> None:
    found = ordered(rows, ordering("Unit desc, OEE", COLUMNS))
    expected = sorted(rows, key=lambda row: -1e9 if row["OEE"] is None else row["OEE"])
    expected = sorted(expected, key=lambda row: "" if row["Unit"] is None else "-" + row["Unit"], reverse=True)
    assert found == expected


def test_columns_are_selected_in_the_order_asked() -> None:
    assert selecting("OEE, ID", COLUMNS) == ["OEE", "ID"]
    assert selecting("", COLUMNS) == selecting("*", COLUMNS) == list(COLUMNS)
    for wrong in (lambda: selecting("Oee", COLUMNS), lambda: ordering("OEE up", COLUMNS)):
        with pytest.raises(ValueError, match="OEE"):
            wrong()
