"""A log of another version is refused with an instruction."""

import pytest
from pymongo import MongoClient
from sqlalchemy import Connection, create_engine, inspect, text

from tests.support.predictions import log_settings, prediction
from trimtab.errors import Unfit
from trimtab.predictions.opening import open_log


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_tables_of_another_program_are_refused_and_left_alone(url):
    with create_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE predictions (id INTEGER)"))
    log = open_log(url, log_settings())
    with pytest.raises(
        Unfit, match=r"The prediction log at .* has version none, this trimtab supports version 2"
    ):
        log.add([prediction("p")])
    log.close()
    with create_engine(url).connect() as connection:
        assert inspect(connection).get_table_names() == ["predictions"]


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
