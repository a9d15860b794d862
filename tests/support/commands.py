"""The command line, run in this process."""

import pytest

from trimtab.cli import app


def trimtab(*words: str) -> int:
    """Run a command and return its exit status."""
    with pytest.raises(SystemExit) as end:
        app(words)
    return int(end.value.code or 0)
