"""The ledger's database: connections, schema, and write transactions that cannot deadlock."""

import json
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab.errors import StoreUnreachable, Unfit
from trimtab.ledger import sql_views

_MIGRATIONS = {"script_location": "trimtab.ledger:migrations"}
_BUSY_SECONDS = 30
_LOCK_SPACE = 7_317_001
"""First half of our PostgreSQL advisory locks; the second is a hash of what is locked."""


class Database:
    """One ledger database. Its connections are closed when nothing refers to it any more.

    Raises:
        StoreUnreachable: The database does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._shown = make_url(url).render_as_string(hide_password=True)
        self._engine = open_engine(url)
        # An engine is full of reference cycles: without this, a storm of alerts left 180 files open.
        weakref.finalize(self, self._engine.dispose).atexit = False
        self._migrating = threading.Lock()

    def migrate(self) -> None:
        """Create or upgrade the tables and views. Two processes may call this at once."""
        with self.transaction("schema") as connection:
            self.upgrade(connection)

    def upgrade(self, connection: Connection) -> None:
        """Create or upgrade the tables and views in an open transaction."""
        # Alembic keeps the migration in progress in a global variable.
        with self._migrating:
            command.upgrade(Config(config_args=_MIGRATIONS, attributes={"connection": connection}), "head")
            sql_views.create(connection)

    def check(self) -> None:
        """Refuse a ledger whose schema differs from the one that this code needs.

        Raises:
            Unfit: The tables are missing, older or newer.
        """
        with self.read() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
        head = ScriptDirectory.from_config(Config(config_args=_MIGRATIONS)).get_current_head()
        if revision != head:
            raise Unfit(
                f"The ledger at {self._shown} has schema revision {revision}, this code needs {head}",
                "Run `trimtab init`.",
            )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection to read with."""
        try:
            connection = self._engine.connect()
        except OperationalError as error:
            raise StoreUnreachable("The ledger", self._shown, "TRIMTAB_LEDGER_URL", error.orig) from error
        with connection:
            yield connection

    @contextmanager
    def transaction(self, lock: str) -> Iterator[Connection]:
        """Open a transaction that first takes the lock of this name, which it holds until it commits.

        SQLite has one write lock for all names. Without a lock, facts could become visible in another order than that of
        their ids, because a database gives out ids before the commit.
        """
        with self.read() as connection, connection.begin():
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK_SPACE, func.hashtext(lock))))
            yield connection

    @contextmanager
    def frozen(self) -> Iterator[Connection]:
        """Open a transaction during which nobody can add a fact, of whatever model."""
        with self.transaction("frozen") as connection:
            if connection.dialect.name != "sqlite":  # whose write lock is that of all names
                connection.exec_driver_sql("LOCK TABLE facts IN SHARE MODE")
            yield connection


def open_engine(url: str) -> Engine:
    """Open a database; SQLite with a write-ahead log and without the driver's own transactions."""
    address = make_url(url)
    # NaN is not JSON: SQLite would store it, PostgreSQL refuses it.
    strict = partial(json.dumps, allow_nan=False)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True, json_serializer=strict)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS}, json_serializer=strict)

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own transactions are deferred, and deadlock when a reader starts to write.
        connection.isolation_level = None
        connection.cursor().execute("PRAGMA journal_mode=WAL")

    return engine
