"""A service on files: a shelf with version 1 in Production, a real log, a client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.unit.serve.shelf import Log, Shelf, client_of
from trimtab.serve.holder import ModelHolder


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.promote("1")
    return shelf


@pytest.fixture
def holder(shelf: Shelf) -> ModelHolder:
    holder = shelf.holder()
    holder.refresh()
    return holder


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    log.start()
    yield log
    log.close()


@pytest.fixture
def client(holder: ModelHolder, log: Log) -> FlaskClient:
    return client_of(holder, log)
