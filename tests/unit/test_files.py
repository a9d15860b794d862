"""Files that appear whole or not at all, and locks between processes."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trimtab import files


def test_two_writers_never_leave_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    contents = [letter * 100_000 for letter in "ab"]
    files.write(path, contents[0])
    writers = [
        threading.Thread(target=lambda text: [files.write(path, text) for _ in range(20)], args=[content])
        for content in contents
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in contents
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "file" / "below").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_private_file_is_the_owners_alone_even_where_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    files.write(path, "new", private=True)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_a_lock_lives_as_long_as_the_last_process_that_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    with files.locked(path) as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor]
        )
    with pytest.raises(BlockingIOError), files.locked(path, wait=False):
        pass
    child.communicate(b"\n")
    with files.locked(path, wait=False):
        pass
