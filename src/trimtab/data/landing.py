"""The landing folder: `<batch>.parquet`, and `<batch>.json`, whose presence says that the batch is complete."""

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from trimtab.contracts import Manifest
from trimtab.errors import BatchRejected, Unfit

if TYPE_CHECKING:
    import pandas as pd

_WHERE = "Could not open Parquet input source '<Buffer>': "
_WANTED = '{"batch", "start", "end", "partial"}'
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    batch: str
    start: AwareDatetime
    end: AwareDatetime
    partial: bool
    released_by: str | None = None
    released_reason: str | None = None
    label_age_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """One landed batch as it was read.

    `file_sha256` are of its two files, `source_sha256` is what the origin remembers of them; `released_by` names the
    quarantine entry that a person let go. `label_age_hours` says how long after its end the labels were collected.
    """

    batch: str
    start: datetime
    end: datetime
    partial: bool
    frame: "pd.DataFrame"
    source_sha256: str
    file_sha256: frozenset[str]
    released_by: str | None = None
    label_age_hours: float | None = None


def waiting(folder: Path, *, grace_seconds: float, now: datetime) -> list[str]:
    """Return the ids of the batches to take in, oldest name first.

    A batch waits when both of its files are there, or when one has been alone for longer than `grace_seconds`: then it
    is broken, and is taken in to be refused with a reason.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix in (".json", ".parquet") and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    oldest = now.timestamp() - grace_seconds
    return [name for name, paths in found.items() if len(paths) == 2 or _changed(paths[0]) <= oldest]


def files(folder: Path, batch: str) -> list[Path]:
    """Return those of a batch's two files that exist; none for a name that leads out of the folder."""
    if Path(batch).name != batch:
        return []
    return [path for path in (folder / f"{batch}.parquet", folder / f"{batch}.json") if path.is_file()]


def remove(paths: Sequence[Path], *, taken: Landed | None = None) -> None:
    """Remove what was taken in; the manifest goes first, so that no half batch looks complete.

    With `taken`, a file that changed since it was read stays with its manifest: a newer revision waits in it.
    """
    ordered = sorted(paths, key=lambda one: one.suffix != ".json")
    if taken is not None and any(_differs(path, taken) for path in ordered):
        return
    for path in ordered:
        path.unlink(missing_ok=True)


def land(
    folder: Path, manifest: Manifest, frame: "pd.DataFrame", *, released_by: str, released_reason: str
) -> None:
    """Put a batch into the landing folder again, on a person's word.

    Raises:
        Unfit: Another revision of the batch waits there.
    """
    note = _Note(
        batch=manifest.batch,
        start=manifest.start,
        end=manifest.end,
        partial=manifest.partial,
        released_by=released_by,
        released_reason=released_reason,
    )
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    put(folder, {f"{manifest.batch}.parquet": content.getvalue(), f"{manifest.batch}.json": _text(note)})


def strip(folder: Path, landed: Landed, kept: "pd.DataFrame") -> None:
    """Write a landed batch anew with those of its rows that are to be kept; one that changed since it was read stays."""
    path = folder / f"{landed.batch}.parquet"
    if not _differs(path, landed):
        draft = path.with_name(f".{path.name}.part")
        kept.to_parquet(draft, index=False)
        draft.replace(path)


def put(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into the landing folder, in this order, each at once or not at all; the same again changes nothing.

    Raises:
        Unfit: Other content waits under one of the names; nothing was written.
    """
    targets = [folder / name for name in contents]
    for path, content in zip(targets, contents.values(), strict=True):
        if path.is_file() and path.read_bytes() != content:
            remedy = "Let it be taken in first (`trimtab batch ingest`), then release again."
            raise Unfit(f"Another {path.name} waits in {folder}", remedy)
    for path, content in zip(targets, contents.values(), strict=True):
        draft = path.with_name(f".{path.name}.part")
        draft.write_bytes(content)
        draft.replace(path)
    return targets


def manifest_of(batch: str, start: datetime, end: datetime, *, label_age_hours: float) -> bytes:
    """Return the manifest of a whole batch whose labels were collected so many hours after its end."""
    return _text(_Note(batch=batch, start=start, end=end, partial=False, label_age_hours=label_age_hours))


def released(manifest: bytes, *, by: str, reason: str) -> bytes:
    """Say in a landed manifest that a person lets the batch in; a broken manifest stays as it is."""
    try:
        content = _Note.model_validate_json(manifest)
    except ValidationError:
        return manifest
    return _text(content.model_copy(update={"released_by": by, "released_reason": reason}))


def read(folder: Path, batch: str) -> Landed:
    """Read one landed batch.

    Raises:
        BatchRejected: A file is missing, is not what it should be, is empty, or the manifest is of another batch.
    """
    import pandas as pd

    if not _NAME.fullmatch(batch):
        raise BatchRejected(batch, "expected a name of letters, digits, dots, dashes and underscores")
    data = folder / f"{batch}.parquet"
    manifest = _manifest(folder / f"{batch}.json", batch)
    note = _note(manifest, batch)
    if not data.is_file():
        raise BatchRejected(batch, f"expected {data.name} beside its manifest, got no such file")
    content = data.read_bytes()
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # damaged files make pyarrow and pandas raise all kinds, KeyError among them
        reason = (str(error) or type(error).__name__).splitlines()[0].removeprefix(_WHERE)
        raise BatchRejected(batch, f"expected a parquet file, got {len(content)} bytes: {reason}") from error
    if frame.empty:
        raise BatchRejected(batch, "expected rows, got none. Check that the export finished")
    return Landed(
        batch=batch,
        start=note.start.astimezone(UTC),
        end=note.end.astimezone(UTC),
        partial=note.partial,
        frame=frame,
        file_sha256=frozenset(hashlib.sha256(file).hexdigest() for file in (content, manifest)),
        source_sha256=_digest(content, note),
        released_by=note.released_by,
        label_age_hours=note.label_age_hours,
    )


def _manifest(path: Path, batch: str) -> bytes:
    if not path.is_file():
        raise BatchRejected(batch, f"expected the manifest {path.name} with {_WANTED}, got no such file")
    return path.read_bytes()


def _note(manifest: bytes, batch: str) -> _Note:
    try:
        note = _Note.model_validate_json(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise BatchRejected(
            batch, f"expected a manifest with {_WANTED}, got one in which {key}: {first['msg']}"
        ) from error
    if note.batch != batch:
        raise BatchRejected(batch, f"expected a manifest of this batch, got one of {note.batch!r}")
    if note.start >= note.end:
        raise BatchRejected(batch, f"expected start before end, got {note.start} and {note.end}")
    return note


def _text(note: _Note) -> bytes:
    return json.dumps(note.model_dump(mode="json", exclude_none=True)).encode()


def _digest(content: bytes, note: _Note) -> str:
    # What a person let in is not what was refused, and corrected bounds make another batch, though the bytes are the same.
    said = note.model_dump_json(include={"start", "end", "partial", "released_by"})
    return hashlib.sha256(content + said.encode()).hexdigest()


def _differs(path: Path, taken: Landed) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() not in taken.file_sha256
    except FileNotFoundError:
        return False


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another run took it in since it was listed
        return float("inf")
