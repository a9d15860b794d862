"""A question to a store on behalf of a client who does not wait for ever, whatever the store does."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def ask(question: Callable[[], T], *, seconds: float) -> T:
    """Return what a question gives, or raise what it raises.

    A driver's own limits do not see a server that is up and stands still: the question then goes on in its thread.

    Raises:
        TimeoutError: It gives nothing within some seconds.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def put() -> None:
        try:
            answers.append(question())
        except Exception as error:
            errors.append(error)

    asking = threading.Thread(target=put, name="prediction-log-question", daemon=True)
    asking.start()
    asking.join(seconds)
    if answers:
        return answers[0]
    raise errors[0] if errors else TimeoutError(f"no answer in {seconds:g} s")
