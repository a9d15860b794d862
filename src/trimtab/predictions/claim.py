"""Whose a file of the spool is: each process has its own, and takes over those of processes that died."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from trimtab import files

_SEGMENT, _LOCK = ".jsonl", ".lock"


class Claim:
    """A process's name in a spool folder, held by a file lock, which the kernel frees however the process ends.

    `inherited` are the files that dead processes left, oldest first, under names of this one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._owner, self._number = folder, uuid.uuid4().hex[:12], 0
        self._lock = ExitStack()
        with files.locked(folder / _LOCK):  # one process at a time looks who is dead
            self._lock.enter_context(files.locked(self._lock_of(self._owner)))
            self.inherited = [path for owner in self._others() for path in self._taken(owner)]

    def next(self) -> Path:
        """Name one more file."""
        self._number += 1
        return self._folder / f"{self._owner}-{self._number:010d}{_SEGMENT}"

    def release(self) -> None:
        """Leave what is there to the next process."""
        self._lock_of(self._owner).unlink(missing_ok=True)
        self._lock.close()

    def _lock_of(self, owner: str) -> Path:
        return self._folder / f"{owner}{_LOCK}"

    def _others(self) -> list[str]:
        oldest = sorted(self._folder.glob(f"*-*{_SEGMENT}"), key=_age)
        owners = [path.name.partition("-")[0] for path in oldest]
        owners += [path.stem for path in self._folder.glob(f"*{_LOCK}") if path.stem != _LOCK]
        return [owner for owner in dict.fromkeys(owners) if owner != self._owner]

    def _taken(self, owner: str) -> Iterator[Path]:
        with suppress(BlockingIOError), files.locked(self._lock_of(owner), wait=False):
            for path in sorted(self._folder.glob(f"{owner}-*{_SEGMENT}")):
                yield path.rename(self.next())
            self._lock_of(owner).unlink()


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # its owner lives, and wrote it to the store just now
        return 0
