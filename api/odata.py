"""The query options of OData 4.01 that people's tools send, for tables in memory. Pure, and safe for any text.

$filter    eq ne gt ge lt le, in, and or not, contains startswith endswith tolower toupper length year month day, null
$orderby   columns, each asc or desc        $select  columns       $top, $count

An expression is checked against the types of the columns before it sees a row; what it cannot be is a ValueError that
says where. A comparison with null is false, but for eq null and ne null.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.times import time_ns

Row = Mapping[str, Any]
Columns = Mapping[str, str]
"""Type by name: string, number, boolean or time (whole nanoseconds since 1970)."""

_LENGTH_MAX: Final = 2_000
_DEPTH_MAX: Final = 30
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')"
    r"|(?P<time>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?(?![\w:.-]))"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<mark>[(),]))"
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FUNCTIONS: Final[Mapping[str, tuple[tuple[str, ...], str, Callable[..., Any]]]] = {
    "contains": (("string", "string"), "boolean", lambda text, part: part in text),
    "startswith": (("string", "string"), "boolean", lambda text, part: text.startswith(part)),
    "endswith": (("string", "string"), "boolean", lambda text, part: text.endswith(part)),
    "tolower": (("string",), "string", str.lower),
    "toupper": (("string",), "string", str.upper),
    "length": (("string",), "number", len),
    "year": (("time",), "number", lambda ns: _date(ns).year),
    "month": (("time",), "number", lambda ns: _date(ns).month),
    "day": (("time",), "number", lambda ns: _date(ns).day),
}
"""Types of the arguments, type of the result, and how; null in is null out."""


@dataclass(frozen=True, slots=True)
class Term:
    """A part of an expression: its type, the columns it looks at, and its value for a row."""

    type: str
    columns: frozenset[str]
    of: Callable[[Row], Any]


def filtering(text: str, columns: Columns) -> Term:
    """Return a $filter. Raises ValueError that says what is wrong and where."""
    if len(text) > _LENGTH_MAX:
        raise ValueError(f"$filter has {len(text)} characters: {_LENGTH_MAX} are the most")
    reader = _Reader(text, columns)
    term = reader.either(0)
    if reader.place < len(reader.tokens):
        raise reader.wrong("the end, and or or")
    return _typed(term, "boolean", "$filter")


def ordering(text: str, columns: Columns) -> list[tuple[str, bool]]:
    """Return the columns of an $orderby, and whether each is descending. Raises ValueError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, direction = part.partition(" ")
        if name not in columns or direction.strip() not in ("", "asc", "desc"):
            raise ValueError(f"$orderby {part!r}: write a column ({', '.join(columns)}), with asc or desc")
        found.append((name, direction.strip() == "desc"))
    return found


def selecting(text: str, columns: Columns) -> list[str]:
    """Return the columns of a $select, all if it is empty. Raises ValueError."""
    named = [name.strip() for name in text.split(",") if name.strip()]
    for name in named:
        if name not in columns and name != "*":
            raise ValueError(f"$select {name!r}: there are {', '.join(columns)}")
    return list(columns) if not named or "*" in named else list(dict.fromkeys(named))


def ordered(rows: Sequence[Row], order: Sequence[tuple[str, bool]]) -> list[Row]:
    """Return rows in order; null comes first, last if descending. Rows that are alike stay as they are."""
    found = list(rows)
    for name, descending in reversed(order):
        found.sort(key=lambda row: (False,) if row[name] is None else (True, row[name]), reverse=descending)
    return found


class _Reader:
    """Reads tokens from the left; each method returns what it has read as a Term."""

    def __init__(self, text: str, columns: Columns) -> None:
        self.text = text
        self.columns = columns
        self.place = 0
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"$filter: {text[at : at + 20].strip()!r} at {at + 1} is nothing known")
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind], found.start(kind)))
            at = found.end()

    def wrong(self, wanted: str) -> ValueError:
        _, word, at = self.tokens[self.place] if self.place < len(self.tokens) else ("", "the end", len(self.text))
        return ValueError(f"$filter: {wanted} is expected at {at + 1}, not {word}")

    def either(self, depth: int) -> Term:
        terms = [self._both(depth)]
        while self._word("or"):
            terms.append(self._both(depth))
        return _joined(terms, any, "or")

    def _both(self, depth: int) -> Term:
        terms = [self._negated(depth)]
        while self._word("and"):
            terms.append(self._negated(depth))
        return _joined(terms, all, "and")

    def _negated(self, depth: int) -> Term:
        if depth > _DEPTH_MAX:
            raise ValueError(f"$filter is nested deeper than {_DEPTH_MAX}")
        if not self._word("not"):
            return self._compared(depth)
        term = _typed(self._negated(depth + 1), "boolean", "not")
        return Term("boolean", term.columns, lambda row: not term.of(row))

    def _compared(self, depth: int) -> Term:
        left = self._value(depth)
        for name in ("eq", "ne", *_COMPARE):
            if self._word(name):
                return _comparison(name, left, self._value(depth))
        if not self._word("in"):
            return left
        self._mark("(")
        among = self._list(depth)
        tests = [_comparison("eq", left, one) for one in among]
        return _joined(tests, any, "in")

    def _value(self, depth: int) -> Term:
        if self.place >= len(self.tokens):
            raise self.wrong("a value")
        kind, word, _ = self.tokens[self.place]
        if word == "(":
            self.place += 1
            term = self.either(depth + 1)
            self._mark(")")
            return term
        if kind == "mark":
            raise self.wrong("a value")
        self.place += 1
        if kind == "word" and word in _FUNCTIONS:
            self._mark("(")
            return _call(word, self._list(depth))
        if kind == "word" and word in self.columns:
            return Term(self.columns[word], frozenset([word]), lambda row: row[word])
        value, type_ = self._literal(kind, word)
        return Term(type_, frozenset(), lambda row: value)

    def _literal(self, kind: str, word: str) -> tuple[Any, str]:
        if kind == "string":
            return word[1:-1].replace("''", "'"), "string"
        if kind == "number":
            return (float(word) if set(word) & set(".eE") else int(word)), "number"
        if kind == "time":
            return time_ns(word if "T" in word else f"{word}T00:00:00Z", 0), "time"
        constants = {"true": (True, "boolean"), "false": (False, "boolean"), "null": (None, "null")}
        if word not in constants:
            self.place -= 1
            raise self.wrong(f"a column ({', '.join(self.columns)}), a function or a literal")
        return constants[word]

    def _list(self, depth: int) -> list[Term]:
        found = [self.either(depth + 1)]
        while self.place < len(self.tokens) and self.tokens[self.place][1] == ",":
            self.place += 1
            found.append(self.either(depth + 1))
        self._mark(")")
        return found

    def _word(self, word: str) -> bool:
        found = self.place < len(self.tokens) and self.tokens[self.place][:2] == ("word", word)
        self.place += found
        return found

    def _mark(self, mark: str) -> None:
        if self.place >= len(self.tokens) or self.tokens[self.place][:2] != ("mark", mark):
            raise self.wrong(mark)
        self.place += 1


def _typed(term: Term, wanted: str, where: str) -> Term:
    if term.type not in (wanted, "null"):
        raise ValueError(f"{where} takes a {wanted}, not a {term.type}")
    return term


def _joined(terms: Sequence[Term], how: Callable[..., bool], where: str) -> Term:
    if len(terms) == 1 and where != "in":
        return terms[0]
    parts = [_typed(term, "boolean", where).of for term in terms]
    return Term("boolean", _columns(terms), lambda row: how(bool(part(row)) for part in parts))


def _comparison(name: str, left: Term, right: Term) -> Term:
    if left.type != right.type and "null" not in (left.type, right.type):
        raise ValueError(f"{name}: a {left.type} cannot be compared with a {right.type}")
    columns = _columns((left, right))
    if name in ("eq", "ne"):
        return Term("boolean", columns, lambda row: (left.of(row) == right.of(row)) is (name == "eq"))
    compare = _COMPARE[name]

    def compared(row: Row) -> bool:
        a, b = left.of(row), right.of(row)
        return a is not None and b is not None and compare(a, b)

    return Term("boolean", columns, compared)


def _call(name: str, given: Sequence[Term]) -> Term:
    wanted, result, how = _FUNCTIONS[name]
    if len(given) != len(wanted):
        raise ValueError(f"{name} takes {len(wanted)} arguments, not {len(given)}")
    parts = [_typed(term, type_, name).of for term, type_ in zip(given, wanted, strict=True)]

    def called(row: Row) -> Any:
        values = [part(row) for part in parts]
        return None if None in values else how(*values)

    return Term(result, _columns(given), called)


def _columns(terms: Sequence[Term]) -> frozenset[str]:
    return frozenset().union(*(term.columns for term in terms))


def _date(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1_000)
