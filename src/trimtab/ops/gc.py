"""`trimtab ops gc`: removes what nothing names any more, and what killed runs left.

Writers push an object before the pointer that names it, so a young object without a name may be that of an ingest in
flight: only what is older than the grace goes.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trimtab.clock import system_clock
from trimtab.errors import Unfit
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import dvc_objects, folders
from trimtab.ops.backup import named_by_ledger
from trimtab.ops.lease import Alive, exclusively
from trimtab.origin.commands import git

_MD5 = re.compile(r"\bmd5: ['\"]?([0-9a-f]{32})(\.dir)?")
_NAMES = (".dvc", "dvc.lock")
_TIMES = ("mtime", "LastModified", "last_modified", "created")
"""What the drivers of DVC call an object's age."""


@dataclass(slots=True, kw_only=True)
class Part:
    """What was collected of one kind: how many, and their bytes; `kept_young` are too young, or of unknown age."""

    removed: int = 0
    bytes: int = 0
    kept_young: int = 0

    def add(self, size: int) -> None:
        """Count one that goes."""
        self.removed, self.bytes = self.removed + 1, self.bytes + size


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What went, or would go: objects of the DVC remote, of the shared cache, and folders."""

    remote: Part
    cache: Part
    folders: Part
    dry_run: bool


def collect(*, older_than_hours: float, dry_run: bool = False) -> Collected:
    """Remove objects that neither the ledger nor any commit of the origin names, and folders of runs that are dead.

    Args:
        older_than_hours: What is younger stays; longer than any push takes, with the commit after it.
        dry_run: Only say what would go.

    Raises:
        Unfit: The grace is not above 0.
        LeaseHeld: A backup, another gc or a forget runs.
        StoreUnreachable: A store does not answer.
    """
    if not older_than_hours > 0:
        raise Unfit(
            f"--older-than-hours: expected more than 0, got {older_than_hours:g}",
            "An ingest in flight has pushed what nothing names yet.",
        )
    loop, before = open_loop(), system_clock().timestamp() - older_than_hours * 3600
    with exclusively(loop) as alive:
        with dvc_objects.remote(loop.stores) as remote:
            named = _named(loop, remote)
            of_remote = _remote(remote, named, before, alive, dry_run=dry_run)
        return Collected(
            remote=of_remote,
            cache=_paths(_cache(loop, named), before, dry_run=dry_run),
            folders=_paths(_folders(loop), before, dry_run=dry_run),
            dry_run=dry_run,
        )


def _named(loop: Loop, remote: dvc_objects.Objects) -> set[str]:
    """Return all that a pointer or lock of any commit names, with what their folders hold, and what the ledger names."""
    loop.origin.head()  # fetches
    mirror = loop.stores.home / "mirror.git"
    listed = git("rev-list", "--objects", "--all", cwd=mirror).splitlines()
    named = named_by_ledger(loop)
    for blob in (line.split(" ", 1)[0] for line in listed if line.endswith(_NAMES)):
        for md5, folder in _MD5.findall(git("cat-file", "-p", blob, cwd=mirror)):
            named.add(f"{md5}{folder}")
            if folder and remote.has(f"{md5}.dir"):
                named.update(re.findall(r'"md5": "([0-9a-f]{32})"', remote.read(f"{md5}.dir").decode()))
    return named


def _remote(
    remote: dvc_objects.Objects, named: set[str], before: float, alive: Alive, *, dry_run: bool
) -> Part:
    part = Part()
    for md5 in remote.all():
        if md5 in named:
            continue
        found = remote.info(md5)
        if not is_older(found, before):
            part.kept_young += 1
            continue
        if not dry_run:
            alive()
            remote.remove(md5)
        part.add(int(found.get("size") or 0))
    return part


def is_older(found: dict[str, Any], before: float) -> bool:
    """Say whether an object is older than a time; one whose age the remote does not tell is not."""
    for name in _TIMES:
        value = found.get(name)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() < before
        if isinstance(value, int | float):
            return value < before
    return False


def _cache(loop: Loop, named: set[str]) -> Iterator[Path]:
    for path in loop.stores.dvc_cache.glob("files/md5/??/*"):
        if path.parent.name + path.name not in named:
            yield path


def _folders(loop: Loop) -> Iterator[Path]:
    """Clones of killed writers, the data of killed runs (a run that ends removes it), and DVC's half done ones of ours."""
    yield from loop.stores.work.glob("clone-*")
    yield from Path(tempfile.gettempdir()).glob("trimtab-dvc-*")
    if loop.ledger.lease_holder(loop.lease) is None:
        yield from loop.stores.work.glob("*/data")


def _paths(found: Iterator[Path], before: float, *, dry_run: bool) -> Part:
    part = Part()
    for path in found:
        with suppress(FileNotFoundError):  # whoever it belongs to has just ended
            newest, size = _state(path)
            if newest >= before:
                part.kept_young += 1
                continue
            if not dry_run:
                _drop(path)
            part.add(size)
    return part


def _state(path: Path) -> tuple[float, int]:
    """Return when a file, or anything in a folder, was last changed, and the bytes of it."""
    files = [one.lstat() for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path.lstat()]
    newest = max(path.lstat().st_mtime, *(one.st_mtime for one in files), 0.0)
    return newest, sum(one.st_size for one in files)


def _drop(path: Path) -> None:
    if path.is_dir():
        folders.remove(path)
    else:
        path.unlink()
