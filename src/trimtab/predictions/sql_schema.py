"""Makes the tables of the prediction log, and migrates what an older trimtab left."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, column, func, insert, inspect, select, table, text

from trimtab.ledger.tables import UtcTime
from trimtab.predictions.sql_tables import feedback, marker, metadata, predictions
from trimtab.predictions.version import VERSION, unfit

log = logging.getLogger(__name__)

_PAGE = 1000
_OLD = ("predictions", "feedback")


def prepare(connection: Connection, shown: str) -> None:
    """Bring the tables to this version; the connection is in a transaction that nobody else writes beside.

    Raises:
        Unfit: The log is of a version that this code does not know; nothing was changed.
    """
    have = _version(connection)
    if have == VERSION:
        return
    if have not in (None, 1):
        raise unfit(shown, have)
    if have == 1:
        _set_aside(connection)
    metadata.create_all(connection)
    connection.execute(insert(marker).values(version=VERSION))
    if have == 1:
        _take_over(connection)
        log.info("The prediction log was migrated from version 1 to %d", VERSION)


def _version(connection: Connection) -> int | None:
    there = inspect(connection)
    if there.has_table(marker.name):
        return int(connection.execute(select(func.max(marker.c.version))).scalar_one())
    return 1 if there.has_table("predictions") else None


def _set_aside(connection: Connection) -> None:
    for name in _OLD:
        for index in inspect(connection).get_indexes(name):
            connection.execute(text(f'DROP INDEX "{index["name"]}"'))
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {name}_of_1"))


def _take_over(connection: Connection) -> None:
    for page in _pages(connection):
        connection.execute(insert(predictions), [_of_1(row) for row in page])
    old = table("feedback_of_1", *(column(name) for name in ("id", "label", *_KEPT)))
    revision = func.row_number().over(partition_by=(old.c.model, old.c.row_id), order_by=old.c.id)
    label = cast(old.c.label, Text)  # a JSON number is its own text
    kept = select(*(old.c[name] for name in _KEPT), label, revision).order_by(old.c.id)
    connection.execute(insert(feedback).from_select([*_KEPT, "label", "revision"], kept))
    for name in _OLD:
        connection.execute(text(f"DROP TABLE {name}_of_1"))


_KEPT = ("model", "row_id", "prediction_id", "label_known_at", "received_at")


def _pages(connection: Connection) -> Iterator[list[Row[Any]]]:
    names = ("prediction_id", "row_id", "model", "version", "probability", "features")
    old = table("predictions_of_1", *(column(name) for name in names), column("served_at", UtcTime))
    query, last = select(old).order_by(old.c.prediction_id).limit(_PAGE), ""
    while page := list(connection.execute(query.where(old.c.prediction_id > last))):
        yield page
        last = page[-1].prediction_id


def _of_1(row: Row[Any]) -> dict[str, object]:
    # PostgreSQL's driver reads JSON itself
    features = json.loads(row.features) if isinstance(row.features, str) else row.features
    sent = features.get("event_time")
    return {
        "prediction_id": row.prediction_id,
        "row_id": row.row_id,
        "model": row.model,
        "version": row.version,
        "served_at": row.served_at,
        "event_time": datetime.fromisoformat(sent).astimezone(UTC) if sent else row.served_at,
        "answer": row.probability,
        "features": features,
        "role": "champion",
    }
