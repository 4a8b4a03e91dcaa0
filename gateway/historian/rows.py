"""Columns into tables, in the words of the database."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_rows(db: Connection, table: Table, columns: Mapping[str, Sequence[Any]], key: tuple[str, ...] = ()) -> None:
    """Insert columns as rows, in the place of those that have the same key, if there is one.

    Without what SQLAlchemy does to each row, which costs more than the database does.
    """
    text, names, positional = _statement(db.dialect, table, tuple(columns), key)
    rows: list[Any] = list(zip(*(columns[name] for name in names), strict=True))
    if not positional:
        rows = [dict(zip(names, row, strict=True)) for row in rows]
    if rows:
        db.exec_driver_sql(text, rows)


@lru_cache(16)
def _statement(
    dialect: Dialect, table: Table, names: tuple[str, ...], key: tuple[str, ...]
) -> tuple[str, Sequence[str], bool]:
    """The text of an INSERT, the order of its columns, and whether they are known by their place."""
    statement = upsert(dialect, table)
    if key:
        changes = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        statement = statement.on_conflict_do_update(index_elements=key, set_=changes)
    compiled = statement.compile(dialect=dialect, column_keys=names)
    return str(compiled), compiled.positiontup or names, bool(compiled.positional)


def upsert(dialect: Dialect, table: Table) -> Any:
    """Return an INSERT that knows ON CONFLICT, in the words of the database."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
