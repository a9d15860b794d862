"""Run git and DVC: no prompt, no telemetry, a time limit, and an error that shows what they said."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trimtab.errors import CommandFailed

_SECONDS = 600
_IDENTITY = ["-c", "user.name=trimtab", "-c", "user.email=trimtab@localhost", "-c", "commit.gpgsign=false"]
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
}


def git(*words: str, cwd: Path | None = None, stdin: str | None = None) -> str:
    """Run git with trimtab's own identity and return its output.

    Raises:
        CommandFailed: git ended with an error.
    """
    return run(["git", *_IDENTITY, *words], cwd=cwd, stdin=stdin)


def dvc(*words: str, cwd: Path) -> str:
    """Run DVC in a checkout and return its output.

    Raises:
        CommandFailed: DVC ended with an error.
    """
    return run([sys.executable, "-m", "dvc", *words], cwd=cwd)


def run(command: Sequence[str], *, cwd: Path | None, stdin: str | None = None) -> str:
    """Run a command and return its standard output.

    Raises:
        CommandFailed: It ended with an error, or not within ten minutes.
    """
    # A git hook or an editor's terminal may have set these, and they would lead git elsewhere.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            list(command),
            cwd=cwd,
            env={**inherited, **_QUIET},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(command, -1, f"no end after {_SECONDS} s") from error
    if done.returncode != 0:
        raise CommandFailed(command, done.returncode, done.stderr or done.stdout)
    return done.stdout
