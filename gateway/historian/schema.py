"""The tables of history, one schema for SQLite and PostgreSQL.

    series      a tag that has history; `id` is what the other tables call it
    tail        what arrived since the last compaction, as it arrived: batches whose `tag` is the series, by shard
    chunk       a stretch of one series within a day, as in chunk.py; those of a series and kind do not overlap
    times       the times of a chunk, shared by those that were read together
    rollup_1m   one row per series and minute, for SQL users too; sums, so that rows can be merged
    rollup_1h   the same per hour
    progress    how far into which journal a gateway's readings are stored; in the same transaction as they are
    recipe      how answers of a device were read and decoded; `id` is the version of the recipe
    words       answers of a device as they were, as in words.py, and the recipe by which they were decoded then
    repair      that readings of a device in [start, end) were decoded again, and by which recipe they are since
    version     of this schema

A shard is 256 series that are stored together, so that neither a query nor a compaction reads all of the tail. Times
are nanoseconds since 1970 UTC, as everywhere. What is in the tail is not in the roll-ups yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.schema import CreateColumn

from gateway.historian.held import NO_HELD

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
    Column("shard", Integer, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("tail_by_shard", "shard", "id", "n", "received"),
)

times: Final = Table(
    "times",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("last_time", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("times_by_end", "last_time"),
)

chunk: Final = Table(
    "chunk",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("series", _Id, ForeignKey("series.id"), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("times", _Id, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("chunk_by_time", "series", "kind", "first_time"),
)


def _rollup(name: str) -> Table:
    """Its columns are those of rollup.Rollup."""
    return Table(
        name,
        metadata,
        Column("series", _Id, ForeignKey("series.id"), primary_key=True),
        Column("bucket", BigInteger, primary_key=True),
        Column("count", BigInteger, nullable=False),
        Column("good", BigInteger, nullable=False),
        Column("minimum", DOUBLE),
        Column("maximum", DOUBLE),
        Column("total", DOUBLE, nullable=False),
        Column("squares", DOUBLE, nullable=False),
        Column("first", DOUBLE),
        Column("first_time", BigInteger, nullable=False),
        Column("last", DOUBLE),
        Column("last_time", BigInteger, nullable=False),
        Column("opens", BigInteger, nullable=False, server_default="0"),
        Column("closes", BigInteger, nullable=False, server_default="0"),
        Column("unknown", BigInteger, nullable=False, server_default=str(NO_HELD)),
        Column("area", DOUBLE),
        sqlite_with_rowid=False,
    )


def add_columns(db: Connection) -> None:
    """Add to roll-ups of an earlier program the columns that it did not have; rows that are there say so themselves."""
    for table in (rollup_1m, rollup_1h):
        there = {column["name"] for column in inspect(db).get_columns(table.name)}
        for column in table.c:
            if column.name not in there:
                db.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {CreateColumn(column).compile(db)}")


rollup_1m: Final = _rollup("rollup_1m")
rollup_1h: Final = _rollup("rollup_1h")

progress: Final = Table(
    "progress",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("journal", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

recipe: Final = Table(
    "recipe",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("device", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("device", "digest"),
)

words: Final = Table(
    "words",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("device", Text, nullable=False),
    Column("recipe", _Id, ForeignKey("recipe.id"), nullable=False),
    Column("first_time", BigInteger, nullable=False),
    Column("last_time", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("words_by_time", "device", "first_time"),
)

repair: Final = Table(
    "repair",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("device", Text, nullable=False),
    Column("recipe", _Id, ForeignKey("recipe.id"), nullable=False),
    Column("start_time", BigInteger, nullable=False),
    Column("end_time", BigInteger, nullable=False),
    Column("readings", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
)

version: Final = Table("version", metadata, Column("number", Integer, primary_key=True, autoincrement=False))
VERSION: Final = 2
_WRITER: Final = 0x6869_7374


def engine(url: str) -> Engine:
    """Open a database. SQLite is put into WAL mode, so that queries do not wait for the writer.

    It syncs every commit, of which there are four per second: the journal's cursor moves behind them for good.
    """
    over_a_network = not url.startswith("sqlite")
    opened = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=over_a_network)
    if opened.dialect.name == "sqlite":
        event.listen(opened, "connect", _pragmas)
    return opened


def reading(url: str) -> Engine:
    """Open a database only to read it, also while somebody writes: it refuses to be changed by this."""
    opened = engine(url)
    event.listen(opened, "connect", _only_read)
    return opened


def _only_read(connection: Any, _record: Any) -> None:
    if hasattr(connection, "read_only"):  # PostgreSQL
        connection.read_only = True
    else:
        connection.execute("PRAGMA query_only = ON")


def _pragmas(connection: Any, _record: Any) -> None:
    for pragma in (
        "page_size = 8192",
        "journal_mode = WAL",
        "synchronous = FULL",
        "busy_timeout = 10000",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes what it has read: no other of these, of this process or another one, comes between."""
    with engine.begin() as db:
        sqlite = db.dialect.name == "sqlite"
        db.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else f"SELECT pg_advisory_xact_lock({_WRITER})")
        yield db
