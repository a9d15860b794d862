"""`make demo`: the flights played through the whole loop."""

import logging
from pathlib import Path


def run(weeks: int | None, tree: Path, *, withhold: int = 0) -> int:
    """Play the first `weeks` weeks of the flights (all when None) through the stack; return the exit status.

    What it started, it stops; what it made in its home stays to look at, until the next fresh start. The labels of the
    first `withhold` weeks after the first champion come at the end of the last of them.

    Raises:
        Unfit: The machine, the home or the number of weeks does not allow it; nothing was started or removed.
        RunFailed: A run of the loop failed; the stack is stopped, and the next call resumes.
    """
    _quiet()
    from trimtab.examples.demo.whole import play

    return play(weeks, tree, withhold)


def run_deployed(weeks: int | None, tree: Path) -> int:
    """Play the first `weeks` weeks through a system that runs already; errors as `deployed.play`."""
    _quiet()
    from trimtab.examples.demo.deployed import play

    return play(weeks, tree)


def _quiet() -> None:
    # Alembic tells of its plugins while it is imported, between the lines of the play.
    logging.getLogger("alembic").setLevel(logging.WARNING)
