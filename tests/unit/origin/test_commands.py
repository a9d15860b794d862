"""Commands of git and DVC that do not end."""

import time
from pathlib import Path

import pytest

from trimtab.errors import CommandFailed
from trimtab.origin import commands


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_without_an_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    script = "sleep 300 & echo $! $$ > pids; wait"
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="no end after 1 s"):
        commands.run(["bash", "-c", script], cwd=tmp_path, seconds=1)
    assert time.monotonic() - began < 30
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(pids) == 2
    assert not any(map(alive, pids))


def test_a_command_gets_its_input_and_its_output_is_returned(tmp_path: Path) -> None:
    assert commands.run(["cat"], cwd=tmp_path, stdin="a word") == "a word"
    with pytest.raises(CommandFailed, match=r"ended with 3:\nno https://host/x"):
        # pragma: allowlist nextline secret
        commands.run(["bash", "-c", "echo no https://me:secret@host/x >&2; exit 3"], cwd=tmp_path)
