"""Orders, KPIs and downtime as tables for spreadsheets and ERP clients: OData 4.01 (JSON) and CSV.

A page has at most `odata.maxpagesize` rows, 500 by default; the next one is at `@odata.nextLink`, whose $skiptoken is
the key of the last row, so nothing is repeated or left out when rows are added meanwhile.
"""

import base64
import binascii
import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

import numpy as np
import orjson
from fastapi import HTTPException, Request, Response

from api.odata import Columns, Row, filtering, ordered, ordering, selecting
from gateway.payload import timestamps

_PAGE: Final = 500
_PAGE_MAX: Final = 5_000
_EDM: Final = {
    "string": "Edm.String",
    "number": "Edm.Double",
    "boolean": "Edm.Boolean",
    "time": "Edm.DateTimeOffset",
}
_OPTIONS: Final = ("$filter", "$select", "$orderby", "$top", "$count", "$skiptoken", "$format")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins like this is a formula to a spreadsheet: in CSV it gets a ' in front of it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by name, of which `key` is unique and `dear` take some computing."""

    name: str
    key: str
    columns: Columns
    dear: frozenset[str] = frozenset()


Complete = Callable[[Sequence[Row]], Sequence[Row]]
"""Adds what is dear to rows; blocking."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a table; everything in it is checked."""

    table: Table
    options: Mapping[str, str]
    page: int

    @classmethod
    def of(cls, table: Table, request: Request) -> "Question":
        """Read the options of a request. Raises HTTPException 400 for what is wrong or not known."""
        options = {name: value for name, value in request.query_params.items() if name.startswith("$")}
        for name in options:
            if name not in _OPTIONS:
                raise HTTPException(400, f"{name} is not known here: there are {', '.join(_OPTIONS)}")
        wish = re.search(r"maxpagesize=(\d{1,6})", request.headers.get("prefer", ""))
        return cls(table, options, min(int(wish[1]) if wish else _PAGE, _PAGE_MAX) or 1)

    def answer(self, rows: Sequence[Row], complete: Complete) -> tuple[Sequence[Row], int, str, list[str]]:
        """Return a page, how many rows there are in all, the key of the last if more follow, and the columns."""
        columns = self.table.columns
        try:
            names = selecting(self.options.get("$select", ""), columns)
            order = ordering(self.options.get("$orderby", ""), columns)
            wanted = filtering(self.options["$filter"], columns) if self.options.get("$filter") else None
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        looked_at = {name for name, _ in order} | (set(wanted.columns) if wanted is not None else set())
        whole = bool(looked_at & self.table.dear)
        known = complete(rows) if whole else rows
        found = [row for row in known if wanted is None or wanted.of(row)]
        found = ordered(ordered(found, [(self.table.key, False)]), order)
        first = self._first(found)
        top = self._number("$top")
        end = min(len(found), first + self.page)
        if top is not None:
            end = min(end, first + top)
        page: Sequence[Row] = found[first:end]
        more = end < len(found) and (top is None or end - first < top)
        last = str(page[-1][self.table.key]) if more and page else ""
        dear = self.table.dear & set(names)
        return (complete(page) if dear and not whole else page), len(found), last, names

    def following(self, url: str, query: Mapping[str, str], last: str, given: int) -> str:
        """Return where the next page is."""
        options = dict(query) | {"$skiptoken": base64.urlsafe_b64encode(last.encode()).decode()}
        if (top := self._number("$top")) is not None:
            options["$top"] = str(top - given)
        return f"{url}?{urlencode(options)}"

    def _first(self, rows: Sequence[Row]) -> int:
        token = self.options.get("$skiptoken", "")
        if not token:
            return 0
        try:
            key = base64.b64decode(token, b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            raise HTTPException(400, "$skiptoken: take it from @odata.nextLink of the page before") from None
        place = next((n for n, row in enumerate(rows, 1) if str(row[self.table.key]) == key), None)
        if place is None:
            raise HTTPException(410, "$skiptoken: the row that it stands for is gone; begin again without it")
        return place

    def _number(self, name: str) -> int | None:
        text = self.options.get(name)
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise HTTPException(400, f"{name} is a number from 0 up, not {text!r}")
        return None if text is None else int(text)


def written(question: Question, request: Request, rows: Sequence[Row], complete: Complete) -> Response:
    """Return the answer as JSON or, by `$format=csv` or Accept, as CSV. Raises HTTPException."""
    page, count, last, names = question.answer(rows, complete)
    url = str(request.url.replace(query=""))
    following = question.following(url, request.query_params, last, len(page)) if last else ""
    listed = [{name: row[name] for name in names} for row in page]
    _clocks(listed, [name for name in names if question.table.columns[name] == "time"])
    kind = question.options.get("$format", request.headers.get("accept", ""))
    if kind == "csv" or kind.startswith("text/csv"):
        headers = {"Link": f'<{following}>; rel="next"'} if following else {}
        return Response(_csv(names, listed), media_type="text/csv; header=present", headers=headers)
    body: dict[str, Any] = {"@odata.context": f"{url.rpartition('/')[0]}/$metadata#{question.table.name}"}
    if question.options.get("$count") == "true":
        body["@odata.count"] = count
    body["value"] = listed
    if following:
        body["@odata.nextLink"] = following
    return Response(orjson.dumps(body), media_type="application/json", headers={"OData-Version": "4.0"})


def service(url: str, tables: Sequence[Table]) -> dict[str, Any]:
    """Return the service document."""
    sets = [{"name": table.name, "kind": "EntitySet", "url": table.name} for table in tables]
    return {"@odata.context": f"{url.rstrip('/')}/$metadata", "value": sets}


def metadata(tables: Sequence[Table]) -> str:
    """Return what the tables are made of, as CSDL in XML."""
    types = "".join(
        f'<EntityType Name="{table.name}Row"><Key><PropertyRef Name="{table.key}"/></Key>'
        + "".join(
            f'<Property Name={quoteattr(name)} Type="{_EDM[kind]}" Nullable="{str(name != table.key).lower()}"'
            + (' Precision="6"/>' if kind == "time" else "/>")
            for name, kind in table.columns.items()
        )
        + "</EntityType>"
        for table in tables
    )
    sets = "".join(f'<EntitySet Name="{table.name}" EntityType="production.{table.name}Row"/>' for table in tables)
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
        '<Schema Namespace="production" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        f'{types}<EntityContainer Name="gateway">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
    )


def _clocks(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Write times as people do, in place."""
    for name in names:
        known = [row for row in rows if row[name] is not None]
        texts = timestamps(np.array([row[name] for row in known], np.int64))
        for row, text in zip(known, texts, strict=True):
            row[name] = text


def _csv(names: Sequence[str], rows: Sequence[Row]) -> str:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(names)
    lines.writerows([[_cell(row[name]) for name in names] for row in rows])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
