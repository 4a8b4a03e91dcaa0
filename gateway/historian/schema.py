"""The tables of history, one schema for SQLite and PostgreSQL.

    series      a tag that has history; `id` is what the other tables call it
    tail        what arrived since the last compaction, as it arrived: batches whose `tag` is the series
    chunk       a stretch of one series: range of time, and sums that answer without its bytes
    chunk_data  the bytes of a chunk, as in chunk.py
    rollup_1m   one row per series and minute, for SQL users too; sums, so that rows can be merged
    progress    how far into which journal a gateway's readings are stored; in the same transaction as they are

Times are nanoseconds since 1970 UTC, as everywhere.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
)

metadata: Final = MetaData()
DOUBLE: Final[Double[float]] = Double()
_Id: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER

series: Final = Table(
    "series",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("path", Text, nullable=False, unique=True),
    Column("unit", Text, nullable=False),
    Column("description", Text, nullable=False),
)

tail: Final = Table(
    "tail",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("received", BigInteger, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

chunk: Final = Table(
    "chunk",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("series", _Id, ForeignKey("series.id"), nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Index("chunk_by_time", "series", "first_time"),
    Index("chunk_by_end", "last_time"),
)

chunk_data: Final = Table(
    "chunk_data",
    metadata,
    Column("chunk", _Id, ForeignKey("chunk.id", ondelete="CASCADE"), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

rollup_1m: Final = Table(
    "rollup_1m",
    metadata,
    Column("series", _Id, ForeignKey("series.id"), primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("good", BigInteger, nullable=False),
    Column("minimum", DOUBLE),
    Column("maximum", DOUBLE),
    Column("total", DOUBLE, nullable=False),
    Column("first", DOUBLE),
    Column("first_time", BigInteger, nullable=False),
    Column("last", DOUBLE),
    Column("last_time", BigInteger, nullable=False),
    Index("rollup_1m_by_time", "bucket"),
)

progress: Final = Table(
    "progress",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("journal", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)


def engine(url: str) -> Engine:
    """Open a database. SQLite is put into WAL mode, so that queries do not wait for the writer.

    It syncs every commit, of which there are four per second: the journal's cursor moves behind them for good.
    """
    opened = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True)
    if opened.dialect.name == "sqlite":
        event.listen(opened, "connect", _pragmas)
    return opened


def _pragmas(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 10000", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
