"""Processes that begin without this one's threads and connections, and whose imports are made once and not in each."""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess

import psutil

from trimtab.cli import app

IMPORTED = (
    "mlflow",
    "mlflow.projects",
    "mlflow.store.tracking.sqlalchemy_store",
    "tests.support.playground",
)


def fresh(target: Callable[..., object], *arguments: object) -> BaseProcess:
    """Return a process that is not started yet; it will find the environment as it is now."""
    forkserver.set_forkserver_preload(list(IMPORTED))
    return multiprocessing.get_context("forkserver").Process(
        target=_in, args=(dict(os.environ), target, arguments)
    )


def killed(words: Sequence[str], reached: Callable[[], bool]) -> list[psutil.Process]:
    """Run a verb, and kill its process at the first moment at which something is reached.

    Returns the commands that the process had started: they go on.
    """
    process = fresh(_command, list(words))
    process.start()
    while not reached():
        assert process.is_alive(), "it ended before it was to be killed"
        time.sleep(0.002)
    verb = psutil.Process(process.pid)
    verb.suspend()  # so that it starts no further command
    commands = verb.children(recursive=True)
    verb.kill()
    process.join()
    return commands


def _in(environment: Mapping[str, str], target: Callable[..., object], arguments: tuple[object, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


def _command(words: Sequence[str]) -> None:
    app(words)
