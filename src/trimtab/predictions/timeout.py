"""Limits how long a caller waits for a function."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def call_with_timeout(function: Callable[[], T], *, seconds: float) -> T:
    """Call a function in a thread, and return what it returns or raise what it raises.

    The time-outs of a database driver do not cover a server that accepts connections but hangs. After the time-out the
    function continues in its thread.

    Raises:
        TimeoutError: The function does not finish in time.
    """
    future: Future[T] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=call, name="prediction-log-query", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(f"no answer in {seconds:g} s") from error
