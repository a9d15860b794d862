"""The prediction log in SQLite or PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import URL, Column, Connection, Table, delete, func, insert, inspect, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError

from trimtab import params
from trimtab.ledger.engine import open_engine
from trimtab.predictions.joining import LabelRevision, join, new_outcomes
from trimtab.predictions.protocol import VERSION, PredictionLog, chunks, unreachable, unsupported_version
from trimtab.predictions.records import SHADOW, JoinedPrediction, Outcome, Prediction, TimeField, field_values
from trimtab.predictions.sql_tables import feedback, marker, metadata, predictions
from trimtab.redaction import redact

_ADVISORY_LOCK = 7_317_002
"""Any number other than the ledger's, because both may be in the same database."""
_PURGE_CHUNK = 5000
_LABELS = select(*(feedback.c[name] for name in LabelRevision._fields))


class SqlLog(PredictionLog):
    """A prediction log in SQLite or PostgreSQL, through SQLAlchemy."""

    def __init__(self, url: str, settings: params.Predictions) -> None:
        address = _with_timeouts(make_url(url), settings.timeout_seconds)
        self.redacted_url, self._prepared = redact(url), False
        self._engine = open_engine(address.render_as_string(hide_password=False))
        self._retention_days = settings.retention_days
        self._insert = sqlite.insert if address.get_backend_name() == "sqlite" else postgresql.insert

    def prepare(self) -> None:
        with self._connect() as connection:
            connection.execute(select(1))

    def add(self, predictions_: Sequence[Prediction]) -> None:
        """See `PredictionLog`. It writes all or none."""
        rows = [field_values(prediction) for prediction in predictions_]
        with self._connect() as connection, _transaction(connection):
            connection.execute(self._insert(predictions).on_conflict_do_nothing(), rows)

    def find(self, model: str, prediction_ids: Sequence[str]) -> dict[str, Prediction]:
        query = select(predictions).where(predictions.c.model == model)
        with self._connect() as connection:
            return {
                row["prediction_id"]: Prediction(**row)
                for chunk in chunks(prediction_ids)
                for row in connection.execute(query.where(predictions.c.prediction_id.in_(chunk))).mappings()
            }

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> int:
        """See `PredictionLog`. It writes all or none."""
        with self._connect() as connection, _transaction(connection, alone=True):
            stored = [
                LabelRevision(*row)
                for chunk in chunks(sorted({outcome.row_id for outcome in outcomes}))
                for row in connection.execute(_LABELS.where(feedback.c.row_id.in_(chunk)))
            ]
            rows = [
                {**field_values(outcome), "revision": revision}
                for outcome, revision in new_outcomes(stored, outcomes)
            ]
            if rows:
                connection.execute(insert(feedback), rows)
        return len(rows)

    def count(self) -> tuple[int, int]:
        with self._connect() as connection:
            prediction_count, outcome_count = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (predictions, feedback)
            )
        return prediction_count, outcome_count

    def joined(
        self,
        model: str,
        *,
        start: datetime,
        end: datetime,
        by: TimeField = "served_at",
        known_by: datetime | None = None,
    ) -> list[JoinedPrediction]:
        conditions = (predictions.c.model == model, predictions.c.role != SHADOW)
        time = predictions.c[by]
        rows = select(predictions.c.row_id).where(*conditions, time >= start, time < end)
        labels = _LABELS.where(feedback.c.model == model, feedback.c.row_id.in_(rows))
        candidates = select(predictions).where(*conditions, predictions.c.row_id.in_(rows))
        with self._connect() as connection:
            return join(
                (Prediction(**row) for row in connection.execute(candidates).mappings()),
                (LabelRevision(*row) for row in connection.execute(labels)),
                by=by,
                start=start,
                end=end,
                known_by=known_by,
            )

    def purge(self, now: datetime) -> int:
        if self._retention_days is None:
            return 0
        before = now - timedelta(days=self._retention_days)
        return self._purge(predictions, predictions.c.prediction_id, predictions.c.served_at, before) + (
            self._purge(feedback, feedback.c.id, feedback.c.received_at, before)
        )

    def erase(self, model: str, row_ids: Sequence[str]) -> int:
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
            raise unreachable(
                self.redacted_url, error.orig if isinstance(error, DBAPIError) else error
            ) from error

    def _prepare(self, connection: Connection) -> None:
        """Create the tables, or refuse those of another version and leave them alone."""
        if self._prepared:
            return
        with _transaction(connection, alone=True):
            tables = inspect(connection)
            if tables.has_table(marker.name):
                version = connection.execute(select(func.max(marker.c.version))).scalar_one()
                if version != VERSION:
                    raise unsupported_version(self.redacted_url, version)
            elif tables.has_table(predictions.name):
                raise unsupported_version(self.redacted_url, "none")
            else:
                metadata.create_all(connection)
                connection.execute(insert(marker).values(version=VERSION))
        self._prepared = True


@contextmanager
def _transaction(connection: Connection, *, alone: bool = False) -> Iterator[None]:
    """Open a transaction, with `alone` one at a time: of two at once, both would find the same outcome new."""
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif alone:
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield


def _with_timeouts(address: URL, seconds: float) -> URL:
    """Limit how long a connection to a dead machine can hang. Limits that the URL contains take precedence."""
    if address.get_backend_name() == "sqlite":
        return address
    return address.set(
        query={
            "connect_timeout": str(max(1, round(seconds))),
            "tcp_user_timeout": str(round(seconds * 1000)),
            **address.query,
        }
    )
