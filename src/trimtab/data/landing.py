"""The landing folder: `<batch>.parquet`, then its manifest `<batch>.json`, which says that the batch is complete."""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, ValidationError

from trimtab.errors import BatchRejected, Unfit
from trimtab.files import write

if TYPE_CHECKING:
    import pandas as pd

_PREFIX = "Could not open Parquet input source '<Buffer>': "
_MANIFEST_KEYS = '{"batch", "start", "end", "partial"}'
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _no_number(value: object) -> object:
    """Refuse a number. By its size, pydantic would take it for seconds or milliseconds since 1970."""
    if isinstance(value, str | datetime):
        return value
    raise ValueError("expected a time in ISO 8601")


_Time = Annotated[AwareDatetime, BeforeValidator(_no_number)]


class LandingManifest(BaseModel):
    """What a producer says about a landed batch. A release from quarantine adds `released_by` and `released_reason`.

    A batch of the prediction log names in `unsent` the features that no client has sent.
    """

    model_config = ConfigDict(extra="forbid")

    batch: str
    start: _Time
    end: _Time
    partial: bool
    released_by: str | None = None
    released_reason: str | None = None
    label_age_hours: float | None = None
    unsent: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A landed batch.

    `file_sha256` are the digests of its two files, and `source_sha256` is the one that the origin records. `released_by` is
    the quarantine entry that an operator released. The labels were collected `label_age_hours` after the batch's end. No
    client of the service has sent the `unsent` features.
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
    unsent: tuple[str, ...] = ()


def waiting(folder: Path, *, grace_seconds: float, now: datetime) -> list[str]:
    """Return the ids of the batches to ingest, sorted.

    These are the batches with both files, and those of which one file has been missing for longer than `grace_seconds`:
    ingesting such a batch refuses it with a reason.
    """
    paths = [path for path in folder.glob("[!.]*") if path.suffix in (".json", ".parquet")]
    files_of = Counter(path.stem for path in paths)
    oldest = now.timestamp() - grace_seconds
    return sorted({path.stem for path in paths if files_of[path.stem] == 2 or _modified(path) <= oldest})


def files(folder: Path, batch: str) -> list[Path]:
    """Return those of a batch's two files that exist, and nothing for a name that leads out of the folder."""
    paths = (folder / f"{batch}.parquet", folder / f"{batch}.json")
    return [path for path in paths if Path(batch).name == batch and path.is_file()]


def remove(paths: Sequence[Path], *, landed: Landed | None = None) -> None:
    """Remove the files of a batch, the manifest first, so that half a batch never looks complete.

    With `landed`, nothing is removed if a file has changed since it was read: it is a newer revision.
    """
    ordered = sorted(paths, key=lambda path: path.suffix != ".json")
    if landed is None or not any(_differs(path, landed) for path in ordered):
        for path in ordered:
            path.unlink(missing_ok=True)


def land(folder: Path, manifest: LandingManifest, frame: "pd.DataFrame") -> None:
    """Land a batch.

    Raises:
        Unfit: Another revision of the batch is in the landing folder.
    """
    name, rows = manifest.batch, frame.to_parquet(index=False)
    put(folder, {f"{name}.parquet": rows, f"{name}.json": _text(manifest)})


def replace_rows(folder: Path, landed: Landed, rows: "pd.DataFrame") -> None:
    """Replace the rows of a landed batch, unless its file has changed since it was read."""
    path = folder / f"{landed.batch}.parquet"
    if not _differs(path, landed):
        write(path, rows.to_parquet(index=False))


def put(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into the landing folder, in the given order, each in one step.

    Raises:
        Unfit: A file of one of these names has other content; nothing was written.
    """
    for name, content in contents.items():
        if (folder / name).is_file() and (folder / name).read_bytes() != content:
            raise Unfit(
                f"Another {name} waits in {folder}",
                "Ingest it first (`trimtab batch ingest`), then release again.",
            )
    for name, content in contents.items():
        write(folder / name, content)


def released(manifest: bytes, *, by: str, reason: str) -> bytes:
    """Add a release by an operator to a manifest. An invalid manifest is returned unchanged."""
    try:
        content = LandingManifest.model_validate_json(manifest)
    except ValidationError:
        return manifest
    return _text(content.model_copy(update={"released_by": by, "released_reason": reason}))


def read(folder: Path, batch: str) -> Landed:
    """Read a landed batch.

    Raises:
        BatchRejected: A file is missing, invalid or empty, or the manifest is of another batch.
    """
    import pandas as pd

    if not _NAME.fullmatch(batch):
        raise BatchRejected(batch, "expected a name of letters, digits, dots, dashes and underscores")
    text = _read(folder / f"{batch}.json", batch, f"the manifest {batch}.json with {_MANIFEST_KEYS}")
    manifest = _parse(text, batch)
    content = _read(folder / f"{batch}.parquet", batch, f"{batch}.parquet beside its manifest")
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (
        Exception
    ) as error:  # for a damaged file pyarrow and pandas raise errors of many kinds, such as KeyError
        reason = (str(error) or type(error).__name__).splitlines()[0].removeprefix(_PREFIX)
        raise BatchRejected(batch, f"expected a parquet file, got {len(content)} bytes: {reason}") from error
    if frame.empty:
        raise BatchRejected(batch, "expected rows, got none. Check that the export finished")
    return Landed(
        batch=batch,
        start=manifest.start.astimezone(UTC),
        end=manifest.end.astimezone(UTC),
        partial=manifest.partial,
        frame=frame,
        file_sha256=frozenset(hashlib.sha256(file).hexdigest() for file in (content, text)),
        source_sha256=_digest(content, manifest),
        released_by=manifest.released_by,
        label_age_hours=manifest.label_age_hours,
        unsent=manifest.unsent or (),
    )


def _read(path: Path, batch: str, expected: str) -> bytes:
    if not path.is_file():
        raise BatchRejected(batch, f"expected {expected}, got no such file")
    return path.read_bytes()


def _parse(text: bytes, batch: str) -> LandingManifest:
    try:
        manifest = LandingManifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise BatchRejected(
            batch, f"expected a manifest with {_MANIFEST_KEYS}, got one in which {key}: {first['msg']}"
        ) from error
    if manifest.batch != batch:
        raise BatchRejected(batch, f"expected a manifest of this batch, got one of {manifest.batch!r}")
    if manifest.start >= manifest.end:
        raise BatchRejected(batch, f"expected start before end, got {manifest.start} and {manifest.end}")
    return manifest


def _text(manifest: LandingManifest) -> bytes:
    return json.dumps(manifest.model_dump(mode="json", exclude_none=True)).encode()


def _digest(content: bytes, manifest: LandingManifest) -> str:
    # The same rows with other bounds, or released by an operator, are another revision.
    identity = manifest.model_dump_json(include={"start", "end", "partial", "released_by"})
    return hashlib.sha256(content + identity.encode()).hexdigest()


def _differs(path: Path, landed: Landed) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() not in landed.file_sha256
    except FileNotFoundError:
        return False


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another run has ingested it since it was listed
        return float("inf")
