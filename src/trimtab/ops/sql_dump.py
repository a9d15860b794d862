"""Copy SQL databases row by row through SQLAlchemy: SQLite, PostgreSQL, and from one to the other.

A copy contains rows only, one file of JSON lines per table; the tables are created by their owners (Alembic, MLflow, the
prediction log). Numbers, texts and times come back equal to the bit; a JSON column is copied as its text.
"""

import base64
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Insert,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    delete,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from trimtab.errors import StoreUnreachable, Unfit

_BUSY_SECONDS = 60
_PAGE = 2000


@contextmanager
def transaction(url: str, *, write: bool = False) -> Iterator[Connection]:
    """Open a transaction that sees the database as it is at its first read, whatever is written meanwhile.

    Args:
        url: Of the database.
        write: Take SQLite's write lock at once.
    """
    with _connected(url) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if not sqlite:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            if sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
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
        if (path := folder / f"{table.name}.jsonl").is_file():
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
    statement = _insert(connection, table)
    with path.open(encoding="utf-8") as file:
        while lines := list(itertools.islice(file, _PAGE)):
            rows = [json.loads(line) for line in lines]
            connection.execute(statement, [{f"p_{name}": _value(row[name]) for name in row} for row in rows])


def _insert(connection: Connection, table: Table) -> Insert:
    values: dict[str, Any] = {}
    for column in table.columns:
        kind = Text() if isinstance(column.type, JSON) else column.type
        values[column.name] = bindparam(f"p_{column.name}", type_=kind)
        # SQLite's JSON is text; a cast to it would be one to a number.
        if isinstance(column.type, JSON) and connection.dialect.name != "sqlite":
            values[column.name] = cast(values[column.name], column.type)
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
    sqlite = make_url(url).get_backend_name() == "sqlite"
    # The driver's own transactions would begin at the first write.
    options = {"isolation_level": "AUTOCOMMIT", "connect_args": {"timeout": _BUSY_SECONDS}} if sqlite else {}
    engine = create_engine(url, poolclass=NullPool, **options)
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise StoreUnreachable("The database", url, "its URL in the environment", error.orig) from error
    finally:
        engine.dispose()
