"""Fixtures of the integration tests: loops on real stores."""

import os
from collections.abc import Iterator

import pytest

from tests.support.forked.server import forking
from tests.support.moments import Branch, Site
from trimtab.loop.loop import Loop


@pytest.fixture(scope="session", autouse=True)
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fork DVC and trimtab where a test starts them, so that their libraries are not imported each time."""
    with forking(tmp_path_factory.getbasetemp()) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Where this process keeps its loops."""
    worker, own = os.environ.get("PYTEST_XDIST_WORKER"), tmp_path_factory.getbasetemp()
    number = int(worker.removeprefix("gw")) if worker else 0
    return Branch(own.parent if worker else own, number)


@pytest.fixture
def loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """An empty loop, initialised."""
    return site.empty(monkeypatch)


@pytest.fixture
def fed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop that took in the four weeks which the first training needs."""
    return site.fed(monkeypatch)


@pytest.fixture
def led(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop whose champion is version 1, through the fourth week."""
    return site.led(monkeypatch)


@pytest.fixture
def due(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop whose champion, version 1, has lost so much that a request waits; version 4 is in Staging."""
    return site.due(monkeypatch)
