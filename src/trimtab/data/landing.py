"""The landing folder: `<batch>.parquet`, and `<batch>.json`, whose presence says that the batch is complete."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trimtab.contracts import Manifest
from trimtab.errors import BatchRejected

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    batch: str
    start: AwareDatetime
    end: AwareDatetime
    partial: bool
    released_by: str | None = None
    released_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One landed batch as it was read; `released_by` names the quarantine entry that a person let go."""

    batch: str
    start: datetime
    end: datetime
    partial: bool
    frame: pd.DataFrame
    source_sha256: str
    released_by: str | None = None


def waiting(folder: Path, *, grace_seconds: float, now: datetime) -> list[str]:
    """Return the ids of the batches to take in, oldest name first.

    A batch waits when both of its files are there, or when one has been alone for longer than `grace_seconds`: then it
    is broken, and is taken in to be refused with a reason.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in (".json", ".parquet") and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    old = now.timestamp() - grace_seconds
    return [name for name, paths in found.items() if len(paths) == 2 or paths[0].stat().st_mtime <= old]


def files(folder: Path, batch: str) -> list[Path]:
    """Return those of a batch's two files that exist."""
    return [path for path in (folder / f"{batch}.parquet", folder / f"{batch}.json") if path.is_file()]


def remove(paths: Sequence[Path]) -> None:
    """Remove what was taken in; the manifest goes first, so that no half batch looks complete."""
    for path in sorted(paths, key=lambda one: one.suffix != ".json"):
        path.unlink(missing_ok=True)


def land(folder: Path, manifest: Manifest, frame: pd.DataFrame, *, released_by: str, released_reason: str) -> None:
    """Put a batch into the landing folder again, on a person's word."""
    frame.to_parquet(folder / f"{manifest.batch}.parquet", index=False)
    note = _Note(
        batch=manifest.batch,
        start=manifest.start,
        end=manifest.end,
        partial=manifest.partial,
        released_by=released_by,
        released_reason=released_reason,
    )
    _write_note(folder / f"{manifest.batch}.json", note)


def mark_released(note: Path, *, released_by: str, released_reason: str) -> None:
    """Write into a landed manifest that a person lets the batch in; a broken manifest stays as it is."""
    try:
        content = _Note.model_validate_json(note.read_bytes())
    except ValidationError:
        return
    _write_note(note, content.model_copy(update={"released_by": released_by, "released_reason": released_reason}))


def read(folder: Path, batch: str) -> Landed:
    """Read one landed batch.

    Raises:
        BatchRejected: A file is missing, is not what it should be, is empty, or the manifest is of another batch.
    """
    if not _NAME.fullmatch(batch):
        raise BatchRejected(batch, "expected a name of letters, digits, dots, dashes and underscores")
    data = folder / f"{batch}.parquet"
    note = _note(folder / f"{batch}.json", batch)
    if not data.is_file():
        raise BatchRejected(batch, f"expected {data.name} beside its manifest, got no such file")
    content = data.read_bytes()
    try:
        frame = pd.read_parquet(pa.BufferReader(content))
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BatchRejected(batch, f"expected a parquet file, got {len(content)} bytes: {reason}") from error
    if frame.empty:
        raise BatchRejected(batch, "expected rows, got none. Check that the export finished")
    return Landed(
        batch=batch,
        start=note.start.astimezone(UTC),
        end=note.end.astimezone(UTC),
        partial=note.partial,
        frame=frame,
        source_sha256=hashlib.sha256(content + (note.released_by or "").encode()).hexdigest(),
        released_by=note.released_by,
    )


def _note(path: Path, batch: str) -> _Note:
    wanted = '{"batch", "start", "end", "partial"}'
    if not path.is_file():
        raise BatchRejected(batch, f"expected the manifest {path.name} with {wanted}, got no such file")
    try:
        note = _Note.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise BatchRejected(
            batch, f"expected a manifest with {wanted}, got {path.name}: {key}: {first['msg']}"
        ) from error
    if note.batch != batch:
        raise BatchRejected(batch, f"expected a manifest of this batch, got one of {note.batch!r}")
    if note.start >= note.end:
        raise BatchRejected(batch, f"expected start before end, got {note.start} and {note.end}")
    return note


def _write_note(path: Path, note: _Note) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(note.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    draft.replace(path)
