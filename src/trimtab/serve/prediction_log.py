"""Predictions and ground truth, in whatever database SQLAlchemy reaches."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab.errors import StoreUnreachable

_metadata = MetaData()

_predictions = Table(
    "predictions",
    _metadata,
    Column("prediction_id", String(36), primary_key=True),
    Column("row_id", String(300), nullable=False, index=True),
    Column("model", String(200), nullable=False),
    Column("version", String(20), nullable=False),
    Column("served_at", String(40), nullable=False),
    Column("probability", Float, nullable=False),
    Column("features", JSON, nullable=False),
)

_feedback = Table(
    "feedback",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("row_id", String(300), nullable=False),
    Column("prediction_id", String(36)),
    Column("label", Integer, nullable=False),
    Column("label_known_at", String(40), nullable=False),
    Column("received_at", String(40), nullable=False),
    Index("feedback_of_row", "row_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One answer of the service; times are ISO 8601 in UTC."""

    prediction_id: str
    row_id: str
    model: str
    version: str
    served_at: str
    probability: float
    features: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One outcome, for a row; by prediction when the client named one."""

    row_id: str
    prediction_id: str | None
    label: int
    label_known_at: str


class PredictionLog:
    """Append-only: a corrected label is one more row, and the newest counts.

    Raises:
        StoreUnreachable: The database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        address = make_url(url)
        sqlite = address.get_backend_name() == "sqlite"
        if sqlite and address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(address, **({"connect_args": {"timeout": 30}} if sqlite else {}))
        if sqlite:
            event.listen(self._engine, "connect", _write_ahead)
        try:
            _metadata.create_all(self._engine)
        except OperationalError as error:
            raise StoreUnreachable(
                "The prediction log", url, "TRIMTAB_PREDICTION_LOG_URL", error.orig
            ) from error

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions, all or none."""
        with self._engine.begin() as connection:
            connection.execute(insert(_predictions), [asdict(one) for one in predictions])

    def rows_of(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """Return the row id of each prediction that is known."""
        found: dict[str, str] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(prediction_ids), _CHUNK):
                wanted = prediction_ids[start : start + _CHUNK]
                query = select(_predictions.c.prediction_id, _predictions.c.row_id)
                rows = connection.execute(query.where(_predictions.c.prediction_id.in_(wanted)))
                found.update((row.prediction_id, row.row_id) for row in rows)
        return found

    def learn(self, truths: Sequence[Truth], *, received_at: datetime) -> int:
        """Write outcomes; what is known already with the same label is left out. Returns how many were new."""
        with self._engine.begin() as connection:
            known: dict[str, int] = {}
            ids = [one.row_id for one in truths]
            for start in range(0, len(ids), _CHUNK):
                query = select(_feedback.c.row_id, _feedback.c.label).order_by(_feedback.c.id)
                rows = connection.execute(query.where(_feedback.c.row_id.in_(ids[start : start + _CHUNK])))
                known.update((row.row_id, row.label) for row in rows)
            new = []
            for one in truths:
                if known.get(one.row_id) != one.label:
                    known[one.row_id] = one.label
                    new.append({**asdict(one), "received_at": received_at.isoformat()})
            if new:
                connection.execute(insert(_feedback), new)
        return len(new)

    def count(self) -> tuple[int, int]:
        """Return how many predictions and how many outcomes there are."""
        with self._engine.connect() as connection:
            predictions = connection.execute(select(func.count()).select_from(_predictions)).scalar_one()
            outcomes = connection.execute(select(func.count()).select_from(_feedback)).scalar_one()
        return int(predictions), int(outcomes)


_CHUNK = 500
"""SQLite takes a bounded number of parameters in one statement."""


def _write_ahead(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.cursor().execute("PRAGMA journal_mode=WAL")
