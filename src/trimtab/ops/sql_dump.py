"""Copy SQL databases row by row through SQLAlchemy: SQLite, PostgreSQL, and from one to the other.

A copy contains rows only, one file of JSON lines per table; the tables are created by their owners (Alembic, MLflow, the
prediction log). Numbers, texts and times come back equal to the bit; a JSON column is copied as its text.
"""

import base64
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Insert,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    delete,
    event,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from trimtab.errors import StoreUnreachable, Unfit

_BUSY_SECONDS = 60
_PAGE = 2000


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """Open a transaction that sees the database as it is at its first read, whatever is written meanwhile."""
    with _connected(url) as connection:
        if connection.dialect.name != "sqlite":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    """Open a transaction to write with."""
    with _connected(url) as connection, connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def compact(url: str) -> None:
    """Remove deleted rows from the files of a SQLite database; no effect on a server, which reuses its pages by itself.

    Raises:
        Unfit: Another process reads for so long that the write-ahead log cannot be emptied.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return
    with _connected(url) as connection:
        connection.exec_driver_sql("VACUUM")
        if connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]:
            raise Unfit(
                f"Another process does not stop reading {url}",
                "Stop the loop, then run the same command again.",
            )


def tables(connection: Connection, only: Collection[str] | None = None) -> list[Table]:
    """Return the tables of a database, referenced tables first."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if only is None or table.name in only]


def dump(connection: Connection, tables: Sequence[Table], folder: Path) -> dict[str, int]:
    """Write each table to `<name>.jsonl` in a folder; return the number of rows of each."""
    folder.mkdir(parents=True, exist_ok=True)
    return {table.name: _dump(connection, table, folder / f"{table.name}.jsonl") for table in tables}


def fill(connection: Connection, tables: Sequence[Table], folder: Path) -> None:
    """Replace the rows of each table by those of its file; a table without a file is emptied."""
    for table in reversed(tables):
        connection.execute(delete(table))
    for table in tables:
        path = folder / f"{table.name}.jsonl"
        if path.is_file():
            _fill(connection, table, path)
            _advance_counter(connection, table)


def _dump(connection: Connection, table: Table, path: Path) -> int:
    columns = [
        cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column
        for column in table.columns
    ]
    query, rows = select(*columns).order_by(*table.primary_key.columns), 0
    with path.open("w", encoding="utf-8") as file:
        for row in connection.execution_options(yield_per=_PAGE).execute(query).mappings():
            file.write(json.dumps(dict(row), default=_plain) + "\n")
            rows += 1
    return rows


def _fill(connection: Connection, table: Table, path: Path) -> None:
    statement, page = _insert(connection, table), []
    with path.open(encoding="utf-8") as file:
        for line in file:
            page.append({f"p_{name}": _value(value) for name, value in json.loads(line).items()})
            if len(page) == _PAGE:
                connection.execute(statement, page)
                page = []
    if page:
        connection.execute(statement, page)


def _insert(connection: Connection, table: Table) -> Insert:
    values: dict[str, Any] = {}
    for column in table.columns:
        as_text = isinstance(column.type, JSON)
        bound = bindparam(f"p_{column.name}", type_=Text() if as_text else column.type)
        # SQLite's JSON is text; a cast to it would be one to a number.
        values[column.name] = (
            cast(bound, column.type) if as_text and connection.dialect.name != "sqlite" else bound
        )
    return insert(table).values(values)


def _advance_counter(connection: Connection, table: Table) -> None:
    """Let PostgreSQL's counter of ids continue after the highest; SQLite looks it up by itself."""
    key = list(table.primary_key.columns)
    if connection.dialect.name == "sqlite" or len(key) != 1 or key[0].type.python_type is not int:
        return
    name, column = f'"{table.name}"', key[0].name
    counter = connection.execute(
        text("select pg_get_serial_sequence(:t, :c)"), {"t": name, "c": column}
    ).scalar()
    if counter:
        newest = f'select coalesce(max("{column}"), 0) + 1 from {name}'
        connection.execute(text(f"select setval(:s, ({newest}), false)"), {"s": counter})


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, bytes | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    raise TypeError(f"A value of type {type(value).__name__} cannot be backed up: {value!r}")


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()))
    if kind == "$bytes":
        return base64.b64decode(content)
    return datetime.fromisoformat(content) if kind == "$time" else date.fromisoformat(content)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise StoreUnreachable("The database", url, "its URL in the environment", error.orig) from error
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own transactions would begin at the first write

    return engine
