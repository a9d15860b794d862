"""A log of an older version is migrated; a log of a newer version is refused with an instruction."""

from datetime import UTC, datetime

import pytest
from pymongo import MongoClient
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    insert,
    inspect,
    text,
)

from tests.support.predictions import (
    HOUR,
    NOON,
    add_outcomes,
    joined_labels,
    log_settings,
    outcome,
    prediction,
)
from trimtab.errors import Unfit
from trimtab.predictions.opening import open_log

FIRST = MetaData()
"""The tables of trimtab 0.1.0."""
PREDICTIONS = Table(
    "predictions",
    FIRST,
    Column("prediction_id", String(36), primary_key=True),
    Column("row_id", String(300), nullable=False),
    Column("model", String(200), nullable=False),
    Column("version", String(20), nullable=False),
    Column("served_at", DateTime, nullable=False),
    Column("probability", Float, nullable=False),
    Column("features", JSON, nullable=False),
    Index("predictions_of_row", "model", "row_id"),
    Index("predictions_by_time", "model", "served_at"),
)
FEEDBACK = Table(
    "feedback",
    FIRST,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("row_id", String(300), nullable=False),
    Column("prediction_id", String(36)),
    Column("label", Integer, nullable=False),
    Column("label_known_at", DateTime, nullable=False),
    Column("received_at", DateTime, nullable=False),
    Index("feedback_of_row", "row_id", "model"),
)
FEATURES = {"event_time": "2026-01-05T08:00:00-05:00", "price": 10}


def _old(url: str, predictions: int) -> None:
    """Write a log of 0.1.0 with many predictions, and with a label and its correction for one row."""
    noon = datetime(2026, 1, 5, 12)
    with create_engine(url).begin() as connection:
        FIRST.create_all(connection)
        rows = [
            {
                "prediction_id": f"p{number:05d}",
                "row_id": f"row-{number}",
                "model": "demand",
                "version": "1",
                "served_at": noon,
                "probability": 0.1 + number / 3000,
                "features": FEATURES,
            }
            for number in range(predictions)
        ]
        connection.execute(insert(PREDICTIONS), rows)
        feedback = {"model": "demand", "row_id": "row-0", "prediction_id": "p00000", "received_at": noon}
        known_at = noon + HOUR
        connection.execute(
            insert(FEEDBACK),
            [
                {**feedback, "label": 1, "label_known_at": known_at},
                {**feedback, "label": 0, "label_known_at": known_at},
            ],
        )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_a_log_of_0_1_0_is_migrated_with_all_that_is_in_it(url):
    _old(url, 2500)
    log = open_log(url, log_settings())
    assert log.count() == (2500, 2)
    predictions = log.find("demand", ["p00000", "p02499"])
    assert predictions["p02499"] == prediction(
        "p02499",
        "row-2499",
        event_time=datetime(2026, 1, 5, 13, tzinfo=UTC),
        answer=0.1 + 2499 / 3000,
        features=FEATURES,
    )
    assert joined_labels(log)[0] == ("p00000", 0)
    assert add_outcomes(log, outcome("row-0", 0)) == 0
    assert add_outcomes(log, outcome("row-0", 1, at=NOON + 2 * HOUR)) == 1
    log.close()
    with create_engine(url).connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"feedback", "prediction_log", "predictions"}
    again = open_log(url, log_settings())
    assert again.count() == (2500, 3)
    again.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_a_migration_that_fails_leaves_the_log_as_it_was(url):
    _old(url, 3)
    with create_engine(url).begin() as connection:
        connection.execute(PREDICTIONS.update().values(features={"event_time": "never"}))
    log = open_log(url, log_settings())
    with pytest.raises(ValueError, match="never"):
        log.count()
    log.close()
    with create_engine(url).connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"feedback", "predictions"}
        assert _count(connection) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_a_newer_log_in_sql_is_refused_and_left_alone(url):
    log = open_log(url, log_settings())
    log.add([prediction("p")])
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE prediction_log SET version = 3"))
    log.close()
    _check_refused(url)
    with create_engine(url).connect() as connection:
        assert _count(connection) == 1


@pytest.mark.parametrize("kind", ["mongodb"], indirect=True)
def test_a_newer_log_in_mongodb_is_refused_and_left_alone(url):
    log = open_log(url, log_settings())
    log.add([prediction("p")])
    log.close()
    with MongoClient(url) as client:
        database = client.get_default_database()
        database["trimtab"].update_one({"_id": "predictions"}, {"$set": {"version": 3}})
        _check_refused(url)
        assert database["predictions"].count_documents({}) == 1


def _check_refused(url: str) -> None:
    newer = open_log(url, log_settings())
    with pytest.raises(
        Unfit, match=r"The prediction log at .* has version 3, this trimtab supports version 2. Install "
    ):
        newer.add([prediction("q")])
    newer.close()


def _count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM predictions")).scalar_one())
