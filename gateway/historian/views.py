"""The roll-ups as SQL users read them, as views: with path and unit, means and deviations instead of sums.

They join, so neither database lets anybody write through them. What they are called and have is a promise
(docs/history.md); the tables behind them may change with every version.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, inspect

from gateway.historian import schema

_VIEWS = {"history_1m": schema.rollup_1m.name, "history_1h": schema.rollup_1h.name}
_SELECT = """
SELECT s.path, s.unit, {time} AS time, r.bucket AS time_ns, r.count, r.good,
  CAST(r.good AS DOUBLE PRECISION) / r.count AS good_share, r.minimum, r.maximum,
  CASE WHEN r.good > 0 THEN r.total / r.good END AS mean,
  CASE WHEN r.good > 1 THEN sqrt(r.squares / (r.good - 1)) END AS deviation,
  r.first, {first_time} AS first_time, r.last, {last_time} AS last_time
FROM {table} AS r JOIN series AS s ON s.id = r.series"""
_TIME = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%SZ', {} / 1000000000, 'unixepoch')",
    "postgresql": "to_timestamp({} / 1000000000.0)",
}


def make_views(db: Connection) -> None:
    """Make the views that are missing."""
    there = inspect(db).get_view_names()
    for name, statement in _statements(db.dialect.name):
        if name not in there:
            db.exec_driver_sql(f"CREATE VIEW {name} AS {statement}")


def _statements(dialect: str) -> Iterator[tuple[str, str]]:
    time = _TIME[dialect]
    for name, table in _VIEWS.items():
        seen = "CASE WHEN r.good > 0 THEN " + time + " END"
        columns = {
            "time": time.format("r.bucket"),
            "first_time": seen.format("r.first_time"),
            "last_time": seen.format("r.last_time"),
        }
        yield name, _SELECT.format(table=table, **columns)
