"""Runs git and DVC without prompts and telemetry, with a time limit, and with errors that contain their output."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from trimtab.errors import CommandFailed

SECONDS = 600.0
"""Time limit of a command, unless the caller gives another."""
_SETTINGS = (
    "user.name=trimtab",
    "user.email=trimtab@localhost",
    "commit.gpgsign=false",
    "core.autocrlf=false",
    f"core.hooksPath={os.devnull}",
    # In the background it would continue after the lock of the mirror is released.
    "gc.autoDetach=false",
)
"""Overrides of the user's git configuration. Its credentials and proxies stay in force."""
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
}
_FOREIGN = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|COMMON_DIR|NAMESPACE|(ALTERNATE_)?OBJECT_DIRECTOR\w+|(AUTHOR|COMMITTER)_\w+)"
)
"""Variables, for example of a git hook, that would send git to another repository or change the author of commits."""
_CAUSE = re.compile(r"(fatal|error|ERROR): ")


def git(
    *words: str,
    cwd: Path | None = None,
    stdin: str | None = None,
    lock: int | None = None,
    seconds: float = SECONDS,
) -> str:
    """Run git with trimtab's own identity and return its output.

    It inherits `lock`, the descriptor of a lock file, so that git still holds the lock after trimtab was killed.

    Raises:
        CommandFailed: git ended with an error, or not in time.
    """
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    inherit = () if lock is None else (lock,)
    return run(["git", *settings, *words], cwd=cwd, stdin=stdin, inherit=inherit, seconds=seconds)


def dvc(*words: str, cwd: Path) -> str:
    """Run DVC in a checkout and return its output.

    Raises:
        CommandFailed: DVC ended with an error, or not in time.
    """
    # By default DVC keeps an index of every checkout below /var/tmp forever. Here it is removed with the checkout.
    site = {"DVC_SITE_CACHE_DIR": str(cwd / ".dvc" / "tmp" / "site")}
    return run([sys.executable, "-m", "dvc", *words], cwd=cwd, extra=site)


def run(
    command: Sequence[str],
    *,
    cwd: Path | None,
    stdin: str | None = None,
    extra: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
    seconds: float = SECONDS,
) -> str:
    """Run a command and return its standard output.

    It gets the environment variables in `extra` besides those of this process, and the file descriptors in `inherit`.

    Raises:
        CommandFailed: It ended with an error, or not within `seconds`.
    """
    inherited = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    with subprocess.Popen(
        list(command),
        cwd=cwd,
        env={**inherited, **_QUIET, **(extra or {})},
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        pass_fds=tuple(inherit),
        start_new_session=True,  # so that its child processes can be ended with it
    ) as process:
        try:
            output, complaint = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise CommandFailed(command, -1, f"no end after {seconds:g} s") from None
        finally:
            if process.returncode is None:  # too late, or Ctrl-C
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise CommandFailed(command, process.returncode, complaint or output)
    return output


def cause(error: CommandFailed) -> str:
    """Return the line of a command's output that says why it failed."""
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    reasons = [line for line in lines if _CAUSE.match(line)]
    return (reasons or lines[-1:] or ["no answer"])[0]
