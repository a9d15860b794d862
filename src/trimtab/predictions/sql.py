"""The prediction log in SQLite or PostgreSQL."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import URL, Column, Connection, Insert, Table, delete, func, insert, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError

from trimtab.errors import StoreUnreachable
from trimtab.ledger.engine import open_engine
from trimtab.predictions import sql_schema
from trimtab.predictions.joining import Told, join, news
from trimtab.predictions.protocol import PredictionLog, chunks
from trimtab.predictions.records import SHADOW, Heard, Joined, Moment, Prediction, Truth
from trimtab.predictions.sql_tables import feedback, predictions
from trimtab.redaction import redact

_ADVISORY_LOCK = 7_317_002
"""Any constant but the ledger's, which may lie in the same database."""
_PURGED_AT_ONCE = 5000


class SqlLog(PredictionLog):
    """A prediction log in whatever SQLAlchemy reaches of SQLite and PostgreSQL."""

    def __init__(self, url: str, *, retention_days: float | None, timeout_seconds: float) -> None:
        address = make_url(url)
        self._shown = redact(url)
        self._engine = open_engine(_timed(address, timeout_seconds).render_as_string(hide_password=False))
        self._retention = None if retention_days is None else timedelta(days=retention_days)
        self._insert = sqlite.insert if address.get_backend_name() == "sqlite" else postgresql.insert
        self._prepared, self._preparing = False, threading.Lock()

    @property
    def shown(self) -> str:
        """See `PredictionLog`."""
        return self._shown

    def prepare(self) -> None:
        """See `PredictionLog`."""
        with self._connect() as connection:
            connection.execute(select(1))

    def add(self, predictions_: Sequence[Prediction]) -> None:
        """See `PredictionLog`; all or none."""
        rows = [_columns(one) for one in predictions_]
        written: Insert = self._insert(predictions).on_conflict_do_nothing()
        with self._connect() as connection, _transaction(connection):
            connection.execute(written, rows)

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        """See `PredictionLog`."""
        query = select(predictions).where(predictions.c.model == model)
        with self._connect() as connection:
            return {
                row["prediction_id"]: Prediction(**row)
                for chunk in chunks(prediction_ids)
                for row in connection.execute(query.where(predictions.c.prediction_id.in_(chunk))).mappings()
            }

    def learn(self, heard: Sequence[Heard]) -> int:
        """See `PredictionLog`; all or none."""
        with self._connect() as connection, _alone(connection):
            found = [
                {**_columns(one.truth), "revision": revision, "received_at": one.received_at}
                for one, revision in news(_known(connection, heard), heard)
            ]
            if found:
                connection.execute(insert(feedback), found)
        return len(found)

    def count(self) -> tuple[int, int]:
        """See `PredictionLog`."""
        with self._connect() as connection:
            answers, outcomes = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (predictions, feedback)
            )
        return int(answers), int(outcomes)

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: Moment = "served_at",
        known_by: datetime | None = None,
    ) -> list[Joined]:
        """See `PredictionLog`."""
        ours = (predictions.c.model == model, predictions.c.role != SHADOW)
        rows = select(predictions.c.row_id).where(*ours, predictions.c[by] >= start, predictions.c[by] < end)
        told: dict[str, list[Told]] = {}
        with self._connect() as connection:
            query = select(feedback).where(feedback.c.model == model, feedback.c.row_id.in_(rows))
            for row in connection.execute(query):
                told.setdefault(row.row_id, []).append(Told(row.label_known_at, row.revision, row.label))
            query = select(predictions).where(*ours, predictions.c.row_id.in_(rows))
            found = (Prediction(**row) for row in connection.execute(query).mappings())
            return join(found, told, by=by, start=start, end=end, known_by=known_by)

    def purge(self, now: datetime) -> int:
        """See `PredictionLog`."""
        if self._retention is None:
            return 0
        before = now - self._retention
        return self._purge(predictions, predictions.c.prediction_id, predictions.c.served_at, before) + (
            self._purge(feedback, feedback.c.id, feedback.c.received_at, before)
        )

    def forget(self, model: str, row_ids: Sequence[str]) -> int:
        """See `PredictionLog`; all or none."""
        with self._connect() as connection, _transaction(connection):
            return sum(
                connection.execute(
                    delete(table).where(table.c.model == model, table.c.row_id.in_(chunk))
                ).rowcount
                for chunk in chunks(row_ids)
                for table in (predictions, feedback)
            )

    def close(self) -> None:
        """See `PredictionLog`."""
        self._engine.dispose()

    def _purge(self, table: Table, key: Column[Any], time: Column[Any], before: datetime) -> int:
        """Delete in bounded transactions: nobody else writes to SQLite while one is open."""
        total = 0
        old = select(key).where(time < before).limit(_PURGED_AT_ONCE)
        while True:
            with self._connect() as connection, _transaction(connection):
                gone = connection.execute(delete(table).where(key.in_(old))).rowcount
            total += gone
            if gone < _PURGED_AT_ONCE:
                return total

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                self._prepare(connection)
                yield connection
        except (DataError, IntegrityError):
            raise  # of the record, not of the store
        except (DBAPIError, TimeoutError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StoreUnreachable(
                "The prediction log", self._shown, "TRIMTAB_PREDICTION_LOG_URL", cause
            ) from error

    def _prepare(self, connection: Connection) -> None:
        if self._prepared:
            return
        with self._preparing, _alone(connection):
            sql_schema.prepare(connection, self._shown)
        self._prepared = True


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """A transaction beside which no other of its kind runs: two would both find the same outcome new."""
    with _transaction(connection):
        if connection.dialect.name != "sqlite":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield


def _timed(address: URL, seconds: float) -> URL:
    """Let no connection to a dead machine hang; what the URL says itself goes first."""
    if address.get_backend_name() == "sqlite":
        return address
    limits = {
        "connect_timeout": str(max(1, round(seconds))),
        "tcp_user_timeout": str(round(seconds * 1000)),
        **address.query,
    }
    return address.set(query=limits)


def _columns(value: Prediction | Truth) -> dict[str, Any]:
    # asdict would copy every row's features
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _known(connection: Connection, heard: Sequence[Heard]) -> dict[tuple[str, str], list[Told]]:
    known: dict[tuple[str, str], list[Told]] = {}
    for chunk in chunks(sorted({one.truth.row_id for one in heard})):
        for row in connection.execute(select(feedback).where(feedback.c.row_id.in_(chunk))):
            told = Told(row.label_known_at, row.revision, row.label)
            known.setdefault((row.model, row.row_id), []).append(told)
    return known
