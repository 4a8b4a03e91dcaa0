"""The roll-ups as SQL users read them, as views: with path and unit, means and deviations instead of sums.

They join, so neither database lets anybody write through them. What they are called and have is a promise
(docs/history.md); the tables behind them may change with every version.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, inspect

from gateway.historian import schema
from gateway.historian.rollup import HOUR_NS, MINUTE_NS

_NEWEST = "known"
"""The column that came last."""

_VIEWS = {"history_1m": (schema.rollup_1m.name, MINUTE_NS), "history_1h": (schema.rollup_1h.name, HOUR_NS)}
_SELECT = """
SELECT s.path, s.unit, {time} AS time, r.bucket AS time_ns, r.count, r.good,
  CAST(r.good AS DOUBLE PRECISION) / r.count AS good_share, r.minimum, r.maximum,
  CASE WHEN r.good > 0 THEN r.total / r.good END AS mean,
  CASE WHEN r.good > 1 THEN sqrt(r.squares / (r.good - 1)) END AS deviation,
  r.first, {first_time} AS first_time, r.last, {last_time} AS last_time,
  CASE WHEN {known} > 0 THEN ({area}) / ({known}) END AS time_mean, {known} AS known
FROM {table} AS r JOIN series AS s ON s.id = r.series LEFT JOIN {table} AS p ON p.series = r.series
  AND p.bucket = (SELECT max(q.bucket) FROM {table} AS q WHERE q.series = r.series AND q.bucket < r.bucket)"""
_S = "CAST(1000000000 AS DOUBLE PRECISION)"
_BEGIN = "CASE WHEN r.opens = 0 THEN r.first_time ELSE r.bucket + r.opens - 1 END"
_END = "CASE WHEN r.closes = 0 THEN r.last_time ELSE r.bucket + r.closes - 1 END"
_BEFORE = f"CASE WHEN p.closes = 0 THEN ({_BEGIN}) - r.bucket ELSE 0 END"
"""How long before its first reading [ns] the end of the row before holds, if there is one and it counts."""
_AFTER = f"CASE WHEN r.closes = 0 THEN r.bucket + {{width}} - ({_END}) ELSE 0 END"
"""How long its last reading holds [ns], if that counts."""
_WITHIN = f"({_END}) - ({_BEGIN}) - r.unknown"
_KNOWN = f"""
  CASE WHEN r.unknown >= 0 AND coalesce(p.unknown, 0) >= 0 THEN ({_BEFORE}) + ({_WITHIN}) + ({_AFTER}) END / {_S}"""
_AREA = f"r.area + coalesce(p.last, 0) * ({_BEFORE}) / {_S} + coalesce(r.last, 0) * ({_AFTER}) / {_S}"
_TIME = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%SZ', {} / 1000000000, 'unixepoch')",
    "postgresql": "to_timestamp({} / 1000000000.0)",
}


def make_views(db: Connection) -> None:
    """Make the views that are missing, or that an earlier program has made with fewer columns."""
    there = inspect(db).get_view_names()
    sqlite = db.dialect.name == "sqlite"
    for name, statement in _statements(db.dialect.name):
        if name not in there:
            db.exec_driver_sql(f"CREATE VIEW {name} AS {statement}")
        elif _NEWEST not in {column["name"] for column in inspect(db).get_columns(name)}:
            if sqlite:
                db.exec_driver_sql(f"DROP VIEW {name}")
            or_replace = "" if sqlite else "OR REPLACE "  # who was let in stays in
            db.exec_driver_sql(f"CREATE {or_replace}VIEW {name} AS {statement}")


def _statements(dialect: str) -> Iterator[tuple[str, str]]:
    time = _TIME[dialect]
    for name, (table, width_ns) in _VIEWS.items():
        seen = "CASE WHEN r.good > 0 THEN " + time + " END"
        columns = {
            "time": time.format("r.bucket"),
            "first_time": seen.format("r.first_time"),
            "last_time": seen.format("r.last_time"),
            "known": _KNOWN.format(width=width_ns),
            "area": _AREA.format(width=width_ns),
        }
        yield name, _SELECT.format(table=table, **columns)
