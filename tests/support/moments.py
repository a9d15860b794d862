"""Copies of a loop at moments that many tests begin with, so that a model is trained once a session and not once a test."""

import fcntl
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support import playground
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop

SMALL = {
    "train__start_batches": 4,
    "train__windows": ["all"],
    "model__settings": {
        "max_iter": 30,
        "learning_rate": 0.1,
        "min_samples_leaf": 50,
        "early_stopping": False,
    },
    "gate__min_blocks": 5,
    "gate__block_hours": 4,
    "gate__batch_correlation": 0.0,
    "gate__error": 0.2,
    "drift__data__sample_rows": 300,
    "trigger__regret": 0.03,
    "trigger__max_age_batches": 8,
}
"""A loop that trains in a blink."""


DUE = range(4, 7)
"""The weeks after which the champion of `SMALL` has lost so much that a deployment is due."""


def _lead() -> None:
    assert playground.monitored("monitor-first") == 1
    assert playground.answered("first") is not None


def _grow_old(loop: Loop) -> None:
    for number in DUE:
        playground.take_in(loop, [number])
        waiting = playground.monitored(f"monitor-{number}")
    assert waiting == 1


class Site:
    """Where the loops of one process lie, one after the other: what they write names its own place.

    Args:
        folder: Of one process at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._place, self._snapshots = folder / "site", folder / "moments"

    def empty(self, patch: pytest.MonkeyPatch, moment: str = "empty", **changes: object) -> Loop:
        """Put a loop there that was initialised, and lead the environment to it; changes are to `SMALL`."""
        self._clear()
        self._place.mkdir(parents=True)
        self._lead(patch)
        return self.at(moment, lambda: initialise(playground.tree(self._place / "tree", **(SMALL | changes))))

    def fed(self, patch: pytest.MonkeyPatch) -> Loop:
        """Put a loop there that took in the four weeks which the first training needs."""
        loop = self.empty(patch)
        return self.at("fed", lambda: playground.take_in(loop, range(4)))

    def led(self, patch: pytest.MonkeyPatch) -> Loop:
        """Put a loop there whose champion is version 1, through the fourth week."""
        self.fed(patch)
        loop = self.at("led", _lead)
        assert loop.registry.stages(loop.model) == {"1": "Production"}
        return loop

    def due(self, patch: pytest.MonkeyPatch) -> Loop:
        """Put a loop there whose champion, version 1, has lost so much that a request waits; version 4 is in Staging."""
        loop = self.led(patch)
        return self.at("due", lambda: _grow_old(loop))

    def at(self, moment: str, reach: Callable[[], object]) -> Loop:
        """Put the loop as it was at a moment, which is reached from where it is when it was never reached before."""
        snapshot = self._snapshots / moment
        if snapshot.exists():
            self._clear()
            shutil.copytree(snapshot, self._place, symlinks=True)
            os.chdir(self._place)  # this process stood in what was taken away
        else:
            reach()
            _disconnect()
            draft = snapshot.with_name(f"{moment}.part")
            shutil.copytree(self._place, draft, symlinks=True)
            draft.rename(snapshot)
        return playground.opened()

    def _lead(self, patch: pytest.MonkeyPatch) -> None:
        for name, value in playground.environment(self._place / "var").items():
            patch.setenv(name, value)
        patch.chdir(self._place)  # without a server, MLflow puts artifacts below the working directory

    def _clear(self) -> None:
        _disconnect()
        shutil.rmtree(self._place, ignore_errors=True)


class Branch(Site):
    """The site of one of several test processes, which have the moments `fed`, `led` and `due` from one site of them all.

    `dvc pull` in a person's own clone of such a loop finds nothing: what was committed names the place where it was
    reached. A loop for that begins with `empty`.

    Args:
        root: Of all test processes.
        number: Of this process.
    """

    def __init__(self, root: Path, number: int) -> None:
        super().__init__(root / f"loops-{number:04}")
        self._stem = Site(root / "loops-stem")

    def fed(self, patch: pytest.MonkeyPatch) -> Loop:
        """Put a loop there that took in the four weeks which the first training needs."""
        return self._take(patch, "fed", self._stem.fed)

    def led(self, patch: pytest.MonkeyPatch) -> Loop:
        """Put a loop there whose champion is version 1, through the fourth week."""
        return self._take(patch, "led", self._stem.led)

    def due(self, patch: pytest.MonkeyPatch) -> Loop:
        """Put a loop there whose champion, version 1, has lost so much that a request waits; version 4 is in Staging."""
        return self._take(patch, "due", self._stem.due)

    def _take(
        self, patch: pytest.MonkeyPatch, moment: str, reach: Callable[[pytest.MonkeyPatch], Loop]
    ) -> Loop:
        stem = self._stem
        with _alone(stem._snapshots):
            if not (stem._snapshots / moment).exists():
                reach(patch)
                stem._clear()
        self._clear()
        shutil.copytree(stem._snapshots / moment, self._place, symlinks=True)
        _rename(self._place, str(stem._place).encode(), str(self._place).encode())
        self._lead(patch)
        return playground.opened()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process be at this at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _rename(folder: Path, old: bytes, new: bytes) -> None:
    """Replace a path in all files of a folder by another of the same length, so that databases stay valid.

    What a commit holds stays as it was committed.
    """
    assert len(old) == len(new)
    for path in folder.rglob("*"):
        assert not path.is_symlink(), path
        if path.is_file() and not path.match(".dvc/config") and old in (content := path.read_bytes()):
            path.write_bytes(content.replace(old, new))


def _disconnect() -> None:
    """Let no connection be open while its file is copied or replaced.

    A copy's end takes the locks of this process from the file, and the end of a connection takes the write-ahead log from
    the database that came to its place.
    """
    for engine in [instance for instance in gc.get_objects() if type(instance) is Engine]:
        engine.dispose()
