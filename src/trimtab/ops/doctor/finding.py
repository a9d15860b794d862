"""What a check finds, and how long it may look."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from trimtab.errors import TrimtabError
from trimtab.origin.commands import without_credentials

_GRACE_SECONDS = 5.0
"""For a command that came to its limit to be ended, and its error to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; the text of a failure or a warning says what to do."""

    check: str
    state: Literal["ok", "warn", "fail"]
    found: str

    def __str__(self) -> str:
        return f"{self.state:4}  {self.check}: {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something that works and should be put right all the same."""

    found: str


Check = Callable[[], str | Doubt]
"""Returns what it found; raises what makes it a failure."""


def within(name: str, check: Check, seconds: float) -> Finding:
    """Make a check, whatever it raises; one that does not end in time is left behind."""
    found: list[Finding] = []
    thread = threading.Thread(target=lambda: found.append(_made(name, check)), daemon=True)
    thread.start()
    thread.join(seconds + _GRACE_SECONDS)
    late = f"no answer within {seconds:g} s. Check that it runs and is not overloaded."
    return found[0] if found else Finding(check=name, state="fail", found=late)


def _made(name: str, check: Check) -> Finding:
    try:
        found = check()
    except TrimtabError as error:
        return Finding(check=name, state="fail", found=without_credentials(str(error)))
    except Exception as error:  # the other checks are to be made all the same
        told = f"{type(error).__name__}: {error}. Nothing was changed; look at what it names."
        return Finding(check=name, state="fail", found=without_credentials(told))
    if isinstance(found, Doubt):
        return Finding(check=name, state="warn", found=found.found)
    return Finding(check=name, state="ok", found=found)
