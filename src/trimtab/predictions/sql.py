"""The prediction log in SQLite or PostgreSQL."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Insert,
    Row,
    Table,
    delete,
    func,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError

from trimtab.errors import StoreUnreachable
from trimtab.ledger.engine import open_engine
from trimtab.predictions import sql_schema
from trimtab.predictions.joining import LabelRevision, join, new_outcomes
from trimtab.predictions.protocol import PredictionLog, chunks
from trimtab.predictions.records import (
    SHADOW,
    JoinedPrediction,
    Prediction,
    ReceivedOutcome,
    TimeField,
    field_values,
)
from trimtab.predictions.sql_tables import feedback, predictions
from trimtab.redaction import redact

_ADVISORY_LOCK = 7_317_002
"""Any number other than the ledger's, because both may be in the same database."""
_PURGE_CHUNK = 5000


class SqlLog(PredictionLog):
    """A prediction log in SQLite or PostgreSQL, through SQLAlchemy."""

    def __init__(self, url: str, *, retention_days: float | None, timeout_seconds: float) -> None:
        address = make_url(url)
        self.redacted_url = redact(url)
        self._engine = open_engine(
            _with_timeouts(address, timeout_seconds).render_as_string(hide_password=False)
        )
        self._retention = None if retention_days is None else timedelta(days=retention_days)
        self._insert = sqlite.insert if address.get_backend_name() == "sqlite" else postgresql.insert
        self._prepared, self._preparing = False, threading.Lock()

    def prepare(self) -> None:
        """See `PredictionLog`."""
        with self._connect() as connection:
            connection.execute(select(1))

    def add(self, predictions_: Sequence[Prediction]) -> None:
        """See `PredictionLog`. It writes all or none."""
        rows = [field_values(prediction) for prediction in predictions_]
        insert_new: Insert = self._insert(predictions).on_conflict_do_nothing()
        with self._connect() as connection, _transaction(connection):
            connection.execute(insert_new, rows)

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        """See `PredictionLog`."""
        query = select(predictions).where(predictions.c.model == model)
        with self._connect() as connection:
            return {
                row["prediction_id"]: Prediction(**row)
                for chunk in chunks(prediction_ids)
                for row in connection.execute(query.where(predictions.c.prediction_id.in_(chunk))).mappings()
            }

    def add_outcomes(self, outcomes: Sequence[ReceivedOutcome]) -> int:
        """See `PredictionLog`. It writes all or none."""
        with self._connect() as connection, _exclusive_transaction(connection):
            rows = [
                {**field_values(entry.outcome), "revision": revision, "received_at": entry.received_at}
                for entry, revision in new_outcomes(_label_revisions(connection, outcomes), outcomes)
            ]
            if rows:
                connection.execute(insert(feedback), rows)
        return len(rows)

    def count(self) -> tuple[int, int]:
        """See `PredictionLog`."""
        with self._connect() as connection:
            prediction_count, outcome_count = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (predictions, feedback)
            )
        return int(prediction_count), int(outcome_count)

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: TimeField = "served_at",
        known_by: datetime | None = None,
    ) -> list[JoinedPrediction]:
        """See `PredictionLog`."""
        conditions = (predictions.c.model == model, predictions.c.role != SHADOW)
        time = predictions.c[by]
        rows = select(predictions.c.row_id).where(*conditions, time >= start, time < end)
        labels: dict[str, list[LabelRevision]] = {}
        with self._connect() as connection:
            query = select(feedback).where(feedback.c.model == model, feedback.c.row_id.in_(rows))
            for row in connection.execute(query):
                labels.setdefault(row.row_id, []).append(_label_revision(row))
            query = select(predictions).where(*conditions, predictions.c.row_id.in_(rows))
            candidates = (Prediction(**row) for row in connection.execute(query).mappings())
            return join(candidates, labels, by=by, start=start, end=end, known_by=known_by)

    def purge(self, now: datetime) -> int:
        """See `PredictionLog`."""
        if self._retention is None:
            return 0
        before = now - self._retention
        return self._purge(predictions, predictions.c.prediction_id, predictions.c.served_at, before) + (
            self._purge(feedback, feedback.c.id, feedback.c.received_at, before)
        )

    def forget(self, model: str, row_ids: Sequence[str]) -> int:
        """See `PredictionLog`. It deletes all or none."""
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
        """Delete in short transactions, because an open one keeps all other writers out of SQLite."""
        total = 0
        old = select(key).where(time < before).limit(_PURGE_CHUNK)
        while True:
            with self._connect() as connection, _transaction(connection):
                deleted = connection.execute(delete(table).where(key.in_(old))).rowcount
            total += deleted
            if deleted < _PURGE_CHUNK:
                return total

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                self._prepare(connection)
                yield connection
        except (DataError, IntegrityError):
            raise  # the record is at fault, not the store
        except (DBAPIError, TimeoutError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise StoreUnreachable(
                "The prediction log", self.redacted_url, "TRIMTAB_PREDICTION_LOG_URL", cause
            ) from error

    def _prepare(self, connection: Connection) -> None:
        if self._prepared:
            return
        with self._preparing, _exclusive_transaction(connection):
            sql_schema.prepare(connection, self.redacted_url)
        self._prepared = True


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


@contextmanager
def _exclusive_transaction(connection: Connection) -> Iterator[None]:
    """Run one transaction at a time. Of two at once, both would find the same outcome new."""
    with _transaction(connection):
        if connection.dialect.name != "sqlite":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield


def _with_timeouts(address: URL, seconds: float) -> URL:
    """Limit how long a connection to a dead machine can hang. Limits that the URL contains take precedence."""
    if address.get_backend_name() == "sqlite":
        return address
    limits = {
        "connect_timeout": str(max(1, round(seconds))),
        "tcp_user_timeout": str(round(seconds * 1000)),
        **address.query,
    }
    return address.set(query=limits)


def _label_revisions(
    connection: Connection, outcomes: Sequence[ReceivedOutcome]
) -> dict[tuple[str, str], list[LabelRevision]]:
    revisions: dict[tuple[str, str], list[LabelRevision]] = {}
    for chunk in chunks(sorted({entry.outcome.row_id for entry in outcomes})):
        for row in connection.execute(select(feedback).where(feedback.c.row_id.in_(chunk))):
            revisions.setdefault((row.model, row.row_id), []).append(_label_revision(row))
    return revisions


def _label_revision(row: Row[Any]) -> LabelRevision:
    return LabelRevision(row.label_known_at, row.revision, row.label)
