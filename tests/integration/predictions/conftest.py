"""Fixtures: an empty prediction log of each kind of store."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.predictions.servers import Mongo, Postgres, Server, running
from tests.support.predictions import log_settings
from trimtab.predictions.opening import open_log
from trimtab.predictions.protocol import PredictionLog

KINDS = ("sqlite", "postgresql", "mongodb")
MONGODB = "TRIMTAB_TEST_MONGODB_URL"
"""URL of another MongoDB to test, instead of the server that is started here."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with running(Postgres) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb() -> Iterator[str]:
    if MONGODB in os.environ:
        yield os.environ[MONGODB]
        return
    with running(Mongo) as server:
        yield server.url


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Returns the URL of a new empty log of a kind."""

    def new(kind: str) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        if kind == "postgresql":
            server: Postgres = request.getfixturevalue("postgres")
            return server.schema(name)
        if kind == "mongodb":
            server_url, _, options = request.getfixturevalue("mongodb").partition("?")
            return f"{server_url.rstrip('/')}/{name}?{options}"
        return f"sqlite:///{tmp_path / name}.db"

    return new


@pytest.fixture
def url(kind: str, address: Callable[[str], str]) -> str:
    return address(kind)


@pytest.fixture
def log(url: str) -> Iterator[PredictionLog]:
    opened = open_log(url, log_settings())
    yield opened
    opened.close()
