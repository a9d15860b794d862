"""Processes that begin without this one's threads and connections, and whose imports are made once and not in each."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess

IMPORTED = (
    "mlflow",
    "mlflow.projects",
    "mlflow.store.tracking.sqlalchemy_store",
    "tests.integration.playground",
)


def fresh(target: Callable[..., object], *arguments: object) -> BaseProcess:
    """Return a process that is not started yet; it will find the environment as it is now."""
    forkserver.set_forkserver_preload(list(IMPORTED))
    return multiprocessing.get_context("forkserver").Process(
        target=_in, args=(dict(os.environ), target, arguments)
    )


def _in(environment: Mapping[str, str], target: Callable[..., object], arguments: tuple[object, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)
