"""The ledger's database: connection, migration, and write transactions that never deadlock."""

import logging
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab.clock import Clock, system_clock
from trimtab.errors import StoreUnreachable, Unfit

log = logging.getLogger(__name__)

_BUSY_SECONDS = 30
_ADVISORY_LOCK = 7_317_001
"""Any constant: PostgreSQL's advisory locks are named by number."""


class Database:
    """One ledger database; its connections are closed when nobody holds it any more.

    Raises:
        StoreUnreachable: The database does not answer.
    """

    def __init__(self, url: str, clock: Clock = system_clock) -> None:
        self.url = url
        self._shown = make_url(url).render_as_string(hide_password=True)
        self.now = clock
        self._engine = open_engine(url)
        # An engine is full of cycles: left to the collector, a storm of alerts held 180 files open.
        weakref.finalize(self, self._engine.dispose).atexit = False
        self._local = threading.local()

    def migrate(self) -> None:
        """Bring the tables to this code's revision; two processes may call it at once.

        A SQLite ledger of an older revision is first copied to a file beside it, `ledger.db.before-REVISION`. PostgreSQL's
        are backed up by whoever runs it.
        """
        with as_file(files("trimtab.ledger") / "migrations") as folder, self._connect() as connection:
            with connection.begin():
                _lock(connection)
                config = _alembic(folder)
                self._back_up(connection, ScriptDirectory.from_config(config).get_current_head())
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def check(self) -> None:
        """Refuse a ledger of another revision.

        Raises:
            Unfit: The ledger is missing or older or newer than this code.
        """
        with self._connect() as connection:
            have = _revision(connection)
        with as_file(files("trimtab.ledger") / "migrations") as folder:
            want = ScriptDirectory.from_config(_alembic(folder)).get_current_head()
        if have != want:
            raise Unfit(
                f"The ledger at {self._shown} is at revision {have}, this code needs {want}",
                "Run `trimtab init`.",
            )

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with; inside `write` it is that transaction."""
        active = getattr(self._local, "connection", None)
        if active is not None:
            yield active
            return
        with self._connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the ledger's only write lock from its first statement; nested calls join it."""
        active = getattr(self._local, "connection", None)
        if active is not None:
            yield active
            return
        with self._connect() as connection, connection.begin():
            _lock(connection)
            self._local.connection = connection
            try:
                yield connection
            finally:
                self._local.connection = None

    def _back_up(self, connection: Connection, head: str | None) -> None:
        have, path = _revision(connection), make_url(self.url).database
        if connection.dialect.name != "sqlite" or not path or path == ":memory:" or have in (None, head):
            return
        kept = Path(f"{path}.before-{have}")
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(kept)) as copy:
            source.backup(copy)
        log.info("The ledger of revision %s is kept as %s", have, kept)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            connection = self._engine.connect()
        except OperationalError as error:
            raise StoreUnreachable("The ledger", self._shown, "TRIMTAB_LEDGER_URL", error.orig) from error
        with connection:
            yield connection


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("select version_num from alembic_version")).scalar()
    return found


def _alembic(folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def open_engine(url: str) -> Engine:
    """Open a database; SQLite with a write-ahead log, and with transactions that begin where we say so."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver would open its own deferred transactions, which deadlock on upgrade: BEGIN is ours.
        connection.isolation_level = None
        connection.cursor().execute("PRAGMA journal_mode=WAL")

    return engine
