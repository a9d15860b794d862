"""Predictions and ground truth, in whatever database SQLAlchemy reaches."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, make_url, select
from sqlalchemy.exc import OperationalError

from trimtab.errors import StoreUnreachable
from trimtab.registry.engine import open_engine
from trimtab.serve.log_tables import feedback, joined_query, metadata, predictions

_CHUNK = 500
"""A database takes a bounded number of parameters in one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One answer of the service; `features` is the row as the client sent it."""

    prediction_id: str
    row_id: str
    model: str
    version: str
    served_at: datetime
    probability: float
    features: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One outcome, for a row; `prediction_id` when the client named it by that."""

    model: str
    row_id: str
    prediction_id: str | None
    label: int
    label_known_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The prediction that counts for a row, with the label in force; None while it is not known."""

    prediction_id: str
    row_id: str
    version: str
    served_at: datetime
    probability: float
    label: int | None
    label_known_at: datetime | None


class PredictionLog:
    """Append-only: a corrected label is one more row, and of a row's labels the one known last is in force.

    Raises:
        StoreUnreachable: The database does not answer; every method may raise it.
    """

    def __init__(self, url: str) -> None:
        self._shown = make_url(url).render_as_string(hide_password=True)
        self._engine = open_engine(url)
        with self._write() as connection:
            metadata.create_all(connection)

    def add(self, answers: Sequence[Prediction]) -> None:
        """Write predictions, all or none."""
        with self._write() as connection:
            connection.execute(insert(predictions), [_columns(one) for one in answers])

    def rows_of(self, model: str, prediction_ids: Sequence[str]) -> dict[str, str]:
        """Return the row id of each prediction that is known."""
        table = predictions
        query = select(table.c.prediction_id, table.c.row_id).where(table.c.model == model)
        with self._read() as connection:
            return {
                row.prediction_id: row.row_id
                for chunk in _chunks(prediction_ids)
                for row in connection.execute(query.where(table.c.prediction_id.in_(chunk)))
            }

    def learn(self, truths: Sequence[Truth], *, received_at: datetime) -> int:
        """Write outcomes, all or none, and return how many were new.

        One that says what is in force already, or was sent before word for word (a late retry), is left out.
        """
        with self._write() as connection:
            known = _known(connection, truths)
            new = []
            for one in truths:
                of_row = known.setdefault((one.model, one.row_id), [])
                said = (one.label_known_at, one.label)
                if said in of_row or (of_row and max(of_row, key=lambda told: told[0])[1] == one.label):
                    continue
                of_row.insert(0, said)  # of two known at one time `max` takes the first, so the newest
                new.append({**_columns(one), "received_at": received_at})
            if new:
                connection.execute(insert(feedback), new)
        return len(new)

    def count(self) -> tuple[int, int]:
        """Return how many predictions and how many outcomes there are, corrections counted."""
        with self._read() as connection:
            answers, outcomes = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (predictions, feedback)
            )
        return int(answers), int(outcomes)

    def joined(self, model: str, *, start: datetime, end: datetime) -> list[Joined]:
        """Return the predictions that count and were served in [start, end), oldest first, with their truth.

        Of several predictions of a row the last one counts that was served before the outcome was first known: a later
        one could have seen it. So a row counts in one window only, and one that was never predicted in time in none.
        """
        with self._read() as connection:
            rows = connection.execute(joined_query(model, start, end)).mappings()
            return [Joined(**row) for row in rows]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except OperationalError as error:
            raise StoreUnreachable(
                "The prediction log", self._shown, "TRIMTAB_PREDICTION_LOG_URL", error.orig
            ) from error

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._read() as connection, connection.begin():
            if connection.dialect.name == "sqlite":
                # Two that read and then write would otherwise both find an outcome new, or lock each other out.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection


def _columns(value: Prediction | Truth) -> dict[str, Any]:
    # asdict would copy every row's features
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _known(
    connection: Connection, truths: Sequence[Truth]
) -> dict[tuple[str, str], list[tuple[datetime, int]]]:
    """What was said of each row, newest first."""
    query = select(feedback).order_by(feedback.c.id.desc())
    known: dict[tuple[str, str], list[tuple[datetime, int]]] = {}
    for chunk in _chunks(sorted({one.row_id for one in truths})):
        for row in connection.execute(query.where(feedback.c.row_id.in_(chunk))):
            known.setdefault((row.model, row.row_id), []).append((row.label_known_at, row.label))
    return known


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
