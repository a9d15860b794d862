"""Erase rows from the versioned data: make new revisions without them, and remove every object that contained them."""

import hashlib
import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from trimtab.contracts import Manifest
from trimtab.data.batches import enough_labels_at
from trimtab.data.schema import LABEL, ROW_ID
from trimtab.files import digest
from trimtab.ledger import Batch, Lease, Version, batch_key
from trimtab.loop.loop import Loop
from trimtab.ops import dvc_objects
from trimtab.ops.erasure import rowfiles
from trimtab.origin.origin import cached, md5_of, pointer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrences:
    """What contains erased rows: objects, their batches, and checkouts; and the rows themselves."""

    objects: frozenset[str]
    batches: frozenset[str]
    rows: Sequence[pd.DataFrame]
    checkouts: Sequence[Path]


def search(loop: Loop, ids: Collection[str]) -> Occurrences:
    """Search all objects for the ids, also those that nothing names, and the checkouts."""
    loop.origin.head()  # fetches
    named = dvc_objects.batches_by_md5(loop.stores.home / "mirror.git")
    named |= {batch.md5: batch.manifest.batch for batch in loop.ledger.all(Batch)}
    with dvc_objects.remote(loop.stores) as remote:
        in_cache = {path.parent.name + path.name for path in loop.stores.dvc_cache.glob("files/md5/??/*")}
        objects = sorted({*named, *remote.all(), *in_cache})
        rows = {md5: rowfiles.of_rows(_content(loop, remote, md5), ids) for md5 in objects}
    affected = frozenset(md5 for md5, frame in rows.items() if len(frame))
    return Occurrences(
        objects=affected,
        batches=frozenset(named[md5] for md5 in affected if md5 in named),
        rows=[rows[md5] for md5 in sorted(affected)],
        checkouts=[path for path in loop.stores.work.glob("*") if path.is_dir() and _contains(path, ids)],
    )


def revise(loop: Loop, batches: Collection[str], ids: Collection[str], key: str, lease: Lease) -> None:
    """Make a new revision without the rows of each batch in force; a revision that only the origin has is ingested.

    If it was killed and is called again, it makes no second one.
    """
    head = loop.origin.head()
    for manifest in loop.origin.manifests(head):
        if manifest.batch in batches:
            _revise(loop, manifest, head, ids, key, lease)


def _revise(loop: Loop, before: Manifest, head: str, ids: Collection[str], key: str, lease: Lease) -> None:
    if loop.ledger.get(Batch, batch_key(before.batch, before.revision)) is None:
        # The origin has it already, so nothing is committed, and the frame is not read.
        loop.ledger.append(loop.origin.commit_batch(before, pd.DataFrame()), lease=lease)
    md5 = md5_of(loop.origin.show(pointer(before.batch), head))
    frame = loop.origin.fetch_batch(before.batch, md5=md5, commit=head)
    left = frame[~frame[ROW_ID].astype(str).isin(list(ids))].reset_index(drop=True)
    if len(left) == len(frame):
        return
    manifest = replace(
        before,
        revision=before.revision + 1,
        rows=len(left),
        labelled=int(left[LABEL].notna().sum()),
        enough_labels_at=enough_labels_at(left, loop.params.data),
        # There is no landed file: it is made from the revision before and this erasure.
        source_sha256=hashlib.sha256(f"{before.source_sha256}:erase:{key}".encode()).hexdigest(),
    )
    loop.ledger.append(loop.origin.commit_batch(manifest, left), lease=lease)
    erased = len(frame) - len(left)
    log.info("Batch %s: revision %s without %s row(s)", before.batch, manifest.revision, erased)


def remove(loop: Loop, objects: Collection[str], checkouts: Collection[Path]) -> None:
    """Delete objects from the DVC remote and the shared cache, and folders of checkouts."""
    with dvc_objects.remote(loop.stores) as remote:
        for md5 in objects:
            cached(loop.stores, md5).unlink(missing_ok=True)
            if remote.has(md5):
                remote.remove(md5)
    for checkout in checkouts:
        shutil.rmtree(checkout, ignore_errors=True)


def versions_of(loop: Loop, objects: Collection[str]) -> list[str]:
    """Return the versions that were trained on one of the objects, oldest first."""
    affected = {batch.ref for batch in loop.ledger.all(Batch) if batch.md5 in objects}
    return [
        version.version
        for version in loop.ledger.all(Version)
        if affected.intersection(version.training.batches)
    ]


def _content(loop: Loop, remote: dvc_objects.Objects, md5: str) -> bytes:
    path = cached(loop.stores, md5)
    if path.is_file() and digest(path, "md5") == md5:
        return path.read_bytes()
    return remote.read(md5) if remote.has(md5) else b""


def _contains(folder: Path, ids: Collection[str]) -> bool:
    try:
        files = [path for path in folder.rglob("*.parquet") if path.is_file()]
        return any(len(rowfiles.of_rows(path.read_bytes(), ids)) for path in files)
    except FileNotFoundError:  # another process has just removed its checkout
        return False
