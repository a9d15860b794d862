"""The quarantine folder: one folder an entry, with the original, and `entry.json` with the reason."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from trimtab.contracts import Quarantined, from_json, to_json
from trimtab.data.landing import mark_released

_ENTRY = "entry.json"
_ROWS = "rows.parquet"


class Quarantine:
    """What was refused. Who released or dropped it stands in the ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_batch(self, batch: str, *, reason: str, files: Sequence[Path]) -> Quarantined:
        """Move the originals of a refused batch here; the same content put twice is one entry."""
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        entry = self._entry(batch, "batch", digest, reason=reason, rows=0, details={})
        for path in files:
            shutil.move(path, Path(entry.path) / path.name)
        return entry

    def put_rows(
        self, batch: str, rows: pd.DataFrame, *, reason: str, details: Mapping[str, int]
    ) -> Quarantined:
        """Keep refused rows as they came, with their `fault`."""
        digest = hashlib.sha256(pd.util.hash_pandas_object(rows.astype(str)).to_numpy().tobytes()).hexdigest()
        entry = self._entry(batch, "rows", digest, reason=reason, rows=len(rows), details=details)
        rows.to_parquet(Path(entry.path) / _ROWS, index=False)
        return entry

    def show(self, name: str) -> Quarantined:
        """Read one entry."""
        return from_json(Quarantined, (self._folder / name / _ENTRY).read_bytes())

    def rows(self, name: str) -> pd.DataFrame:
        """Return the rows of an entry that holds rows."""
        return pd.read_parquet(self._folder / name / _ROWS)

    def release(self, name: str, landing: Path, *, reason: str) -> list[Path]:
        """Put the originals of a refused batch back into the landing folder, marked as released; the manifest last."""
        entry = self.show(name)
        originals = [path for path in sorted(Path(entry.path).iterdir()) if path.name != _ENTRY]
        landed = []
        for path in sorted(originals, key=lambda one: one.suffix == ".json"):
            copy = landing / path.name
            draft = landing / f".{path.name}.part"
            shutil.copy2(path, draft)
            if path.suffix == ".json":
                mark_released(draft, released_by=name, released_reason=reason)
            draft.replace(copy)
            landed.append(copy)
        return landed

    def drop(self, name: str) -> None:
        """Delete the data of an entry; its reason stays."""
        for path in (self._folder / name).iterdir():
            if path.name != _ENTRY:
                path.unlink()

    def _entry(
        self, batch: str, kind: str, digest: str, *, reason: str, rows: int, details: Mapping[str, int]
    ) -> Quarantined:
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in batch)[:100]
        name = f"{safe}-{kind}-{digest[:8]}"
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        entry = Quarantined(
            name=name,
            batch=batch,
            kind="batch" if kind == "batch" else "rows",
            reason=reason,
            rows=rows,
            path=str(folder),
            details=dict(details),
        )
        (folder / _ENTRY).write_text(to_json(entry), encoding="utf-8")
        return entry
