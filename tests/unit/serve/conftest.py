"""A service on files: a shelf with version 1 in Production, a real log, a client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.unit.serve.shelf import NOON, WANTED, Shelf
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder
from trimtab.serve.prediction_log import PredictionLog


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.promote("1")
    return shelf


@pytest.fixture
def holder(shelf: Shelf) -> Iterator[ModelHolder]:
    holder = shelf.holder()
    holder.refresh()
    yield holder
    holder.close()


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(f"sqlite:///{tmp_path / 'log.db'}")


@pytest.fixture
def client(holder: ModelHolder, log: PredictionLog) -> FlaskClient:
    return create_app(holder, log, WANTED, lambda: NOON).test_client()
