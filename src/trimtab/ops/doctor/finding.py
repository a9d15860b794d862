"""The result of a check, and its time limit."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from trimtab.errors import TrimtabError
from trimtab.redaction import redact

_GRACE_SECONDS = 5.0
"""Time in which a command that reached its limit is ended and its error is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check; the message of a failure or a warning says what to do."""

    check: str
    state: Literal["ok", "warn", "fail"]
    message: str

    def __str__(self) -> str:
        return f"{self.state:4}  {self.check}: {self.message}"


@dataclass(frozen=True, slots=True)
class Warn:
    """Something works, but should be corrected all the same."""

    message: str


Check = Callable[[], str | Warn]
"""Returns a message if all is well, or a warning; raises an error if not."""


def within(name: str, check: Check, seconds: float) -> Finding:
    """Make a check, whatever it raises; a check that does not end in time is left running."""
    findings: list[Finding] = []
    thread = threading.Thread(target=lambda: findings.append(_make(name, check)), daemon=True)
    thread.start()
    thread.join(seconds + _GRACE_SECONDS)
    late = f"no answer within {seconds:g} s. Check that it runs and is not overloaded."
    return findings[0] if findings else Finding(check=name, state="fail", message=late)


def _make(name: str, check: Check) -> Finding:
    state: Literal["ok", "warn", "fail"] = "fail"
    try:
        result = check()
        state, message = ("warn", result.message) if isinstance(result, Warn) else ("ok", result)
    except TrimtabError as error:
        message = str(error)
    except Exception as error:  # the other checks are made all the same
        message = f"{type(error).__name__}: {error}. Nothing was changed; look at what it names."
    return Finding(check=name, state=state, message=redact(message))
