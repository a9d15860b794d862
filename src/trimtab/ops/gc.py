"""`trimtab ops gc`: remove data that nothing names any more, and what killed runs left.

Writers push an object before the pointer that names it, so a young object without a name may belong to an ingest in
progress. Only what is older than a limit is removed.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from trimtab.clock import system_clock
from trimtab.errors import Unfit
from trimtab.ledger import Batch, kind_of
from trimtab.ledger.tables import facts
from trimtab.loop.loop import Loop, open_loop
from trimtab.ops import dvc_objects
from trimtab.ops.maintenance import exclusively

_MD5 = re.compile(r"\bmd5: ['\"]?([0-9a-f]{32})(\.dir)?")
_DVC_FILES = (".dvc", "dvc.lock")
_TIMES = ("mtime", "LastModified", "last_modified", "created")
"""What DVC's drivers call the time of an object's last change."""

Candidate = tuple[bool, int, Callable[[], None]]
"""Something without a name: whether it is old enough to be removed, its bytes, and what removes it."""


@dataclass(slots=True, kw_only=True)
class Part:
    """What was collected of one kind: how many, and their bytes; `too_young` are too young, or of unknown age."""

    removed: int = 0
    bytes: int = 0
    too_young: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was removed, or would be: objects of the DVC remote and of the shared cache, and folders."""

    remote: Part
    cache: Part
    folders: Part
    dry_run: bool


def collect(*, older_than_hours: float, dry_run: bool = False) -> Collected:
    """Remove objects that neither the ledger nor any commit of the origin names, and folders of dead runs.

    Args:
        older_than_hours: What is younger stays. A push and the commit after it must not take longer.
        dry_run: Only report what would be removed.

    Raises:
        Unfit: The limit is not above 0.
        LeaseHeld: A backup, another gc or an erasure is running.
        LeaseLost: This process was paused until its lease expired.
        StoreUnreachable: A store does not answer.
    """
    if not older_than_hours > 0:
        raise Unfit(
            f"--older-than-hours: expected more than 0, got {older_than_hours:g}",
            "An ingest in progress has pushed objects that nothing names yet.",
        )
    loop, before = open_loop(), system_clock().timestamp() - older_than_hours * 3600
    with exclusively(loop) as lease:
        check = None if dry_run else partial(loop.ledger.leases.check, lease)
        with dvc_objects.remote(loop.stores) as remote:
            named = _named(loop, remote)
            removed = _collect(_objects(remote, named, before), check)
        cached = loop.stores.dvc_cache.glob("files/md5/??/*")
        unnamed = [path for path in cached if path.parent.name + path.name not in named]
        return Collected(
            remote=removed,
            cache=_collect(_paths(unnamed, before), check),
            folders=_collect(_paths(_leftovers(loop), before), check),
            dry_run=dry_run,
        )


def _named(loop: Loop, remote: dvc_objects.Objects) -> set[str]:
    """Return the objects that a DVC file of any commit names, with the contents of folders, and those in the ledger.

    The ledger's are those of all models: they may share a DVC remote.
    """
    query = select(facts.c.body["md5"].as_string()).where(facts.c.kind == kind_of(Batch))
    with loop.ledger.read() as connection:
        named = set(connection.execute(query).scalars())
    loop.origin.head()  # fetches
    for _, content in dvc_objects.files_named(loop.stores.home / "mirror.git", _DVC_FILES):
        for md5, folder in _MD5.findall(content):
            named.add(f"{md5}{folder}")
            if folder and remote.has(f"{md5}.dir"):
                named.update(re.findall(r'"md5": "([0-9a-f]{32})"', remote.read(f"{md5}.dir").decode()))
    return named


def _collect(candidates: Iterable[Candidate], check: Callable[[], None] | None) -> Part:
    """Remove what is old enough; `check` is called before each removal, and is None for a dry run, which removes nothing."""
    part = Part()
    for is_old, size, remove in candidates:
        if not is_old:
            part.too_young += 1
            continue
        if check:
            check()
            remove()
        part.removed += 1
        part.bytes += size
    return part


def _objects(remote: dvc_objects.Objects, named: set[str], before: float) -> Iterator[Candidate]:
    for md5 in remote.all():
        if md5 not in named:
            info = remote.info(md5)
            yield is_older(info, before), int(info.get("size") or 0), partial(remote.remove, md5)


def is_older(info: dict[str, Any], before: float) -> bool:
    """Say whether an object is older than a time; False if the remote does not tell its age."""
    value = next(
        (info[name] for name in _TIMES if isinstance(info.get(name), datetime | float | int)), before
    )
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return bool(value < before)


def _leftovers(loop: Loop) -> Iterator[Path]:
    """Yield what killed processes left: clones, temporary folders of DVC, drafts of batches, and the data of runs.

    A run that ends removes its data. While a run is in progress, no data is listed.
    """
    yield from loop.stores.work.glob("clone-*")
    yield from Path(tempfile.gettempdir()).glob("trimtab-dvc-*")
    for folder in (loop.stores.landing, *loop.stores.quarantine.glob("*")):
        yield from folder.glob(".*.part")
    if loop.ledger.leases.current(loop.lease_name) is None:
        yield from loop.stores.work.glob("*/data")


def _paths(paths: Iterable[Path], before: float) -> Iterator[Candidate]:
    for path in paths:
        with suppress(FileNotFoundError):  # its owner has just removed it
            newest, size = _last_change_and_size(path)
            yield newest < before, size, partial(_remove, path)


def _last_change_and_size(path: Path) -> tuple[float, int]:
    """Return when a file, or anything in a folder, was last changed, and its size in bytes."""
    files = [file.lstat() for file in (path, *path.rglob("*")) if file.is_file()]
    return (
        max(path.lstat().st_mtime, *(file.st_mtime for file in files), 0.0),
        sum(file.st_size for file in files),
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
