"""Creates the tables of the prediction log, and migrates those of version 1."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, column, func, insert, inspect, select, table, text

from trimtab.ledger.tables import UtcTime
from trimtab.predictions.protocol import VERSION, unsupported_version
from trimtab.predictions.sql_tables import feedback, marker, metadata, predictions

log = logging.getLogger(__name__)

_PAGE = 1000
_OLD = ("predictions", "feedback")


def prepare(connection: Connection, redacted_url: str) -> None:
    """Create or migrate the tables. The connection must be in a transaction that excludes other writers.

    Raises:
        Unfit: The log has a version that this code does not support. Nothing was changed.
    """
    version = _version(connection)
    if version == VERSION:
        return
    if version not in (None, 1):
        raise unsupported_version(redacted_url, version)
    if version == 1:
        _rename_version_1(connection)
    metadata.create_all(connection)
    connection.execute(insert(marker).values(version=VERSION))
    if version == 1:
        _copy_version_1(connection)
        log.info("The prediction log was migrated from version 1 to %d", VERSION)


def _version(connection: Connection) -> int | None:
    tables = inspect(connection)
    if tables.has_table(marker.name):
        return int(connection.execute(select(func.max(marker.c.version))).scalar_one())
    return 1 if tables.has_table("predictions") else None


def _rename_version_1(connection: Connection) -> None:
    for name in _OLD:
        for index in inspect(connection).get_indexes(name):
            connection.execute(text(f'DROP INDEX "{index["name"]}"'))
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {name}_of_1"))


def _copy_version_1(connection: Connection) -> None:
    for page in _pages(connection):
        connection.execute(insert(predictions), [_from_version_1(row) for row in page])
    old = table("feedback_of_1", *(column(name) for name in ("id", "label", *_COPIED)))
    revision = func.row_number().over(partition_by=(old.c.model, old.c.row_id), order_by=old.c.id)
    label = cast(old.c.label, Text)  # a JSON number is its own text
    rows = select(*(old.c[name] for name in _COPIED), label, revision).order_by(old.c.id)
    connection.execute(insert(feedback).from_select([*_COPIED, "label", "revision"], rows))
    for name in _OLD:
        connection.execute(text(f"DROP TABLE {name}_of_1"))


_COPIED = ("model", "row_id", "prediction_id", "label_known_at", "received_at")


def _pages(connection: Connection) -> Iterator[list[Row[Any]]]:
    names = ("prediction_id", "row_id", "model", "version", "probability", "features")
    old = table("predictions_of_1", *(column(name) for name in names), column("served_at", UtcTime))
    query, last = select(old).order_by(old.c.prediction_id).limit(_PAGE), ""
    while page := list(connection.execute(query.where(old.c.prediction_id > last))):
        yield page
        last = page[-1].prediction_id


def _from_version_1(row: Row[Any]) -> dict[str, object]:
    # PostgreSQL's driver decodes JSON itself
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
