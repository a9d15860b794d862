"""Quarantine: a folder for each entry, with the original data and `entry.json`, which has the reason."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trimtab.contracts import Quarantined, from_json, to_json
from trimtab.data import landing
from trimtab.errors import UnknownQuarantine
from trimtab.files import write

if TYPE_CHECKING:
    import pandas as pd

_ENTRY = "entry.json"
_ROWS = "rows.parquet"


class Quarantine:
    """Refused batches and rows. The ledger records who released or dropped an entry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy_batch(
        self, batch: str, *, reason: str, files: Sequence[Path], row_ids: Sequence[str] = ()
    ) -> Quarantined:
        """Copy the files of a refused batch. The caller removes the originals when the ledger has the entry.

        The same content is the same entry. So is a part of it, which is what a run leaves when it is killed while it removes
        the originals.
        """
        contents = _read(files)
        for entry in self.entries():
            of_the_batch = entry.batch == batch and entry.kind == "batch"
            if of_the_batch and contents.items() < _read(self._data(entry.name)).items():
                return entry
        return self._put(batch, "batch", contents, reason=reason, row_ids=row_ids)

    def put_rows(
        self, batch: str, rows: "pd.DataFrame", *, reason: str, details: Mapping[str, int]
    ) -> Quarantined:
        """Store refused rows as they landed, with their `fault`. The same rows are the same entry."""
        contents = {_ROWS: rows.to_parquet(index=False)}
        return self._put(batch, "rows", contents, reason=reason, rows=len(rows), details=details)

    def entries(self) -> list[Quarantined]:
        """Return all entries, sorted by name, also those whose data was dropped."""
        return [
            from_json(Quarantined, path.read_bytes()) for path in sorted(self._folder.glob(f"*/{_ENTRY}"))
        ]

    def show(self, name: str) -> Quarantined:
        """Return an entry.

        Raises:
            UnknownQuarantine: No entry has that name.
        """
        path = self._folder / name / _ENTRY
        if Path(name).name != name or not path.is_file():
            raise UnknownQuarantine(name, [entry.name for entry in self.entries()])
        return from_json(Quarantined, path.read_bytes())

    def rows(self, name: str) -> "pd.DataFrame":
        """Return the rows of an entry of the kind `rows`.

        Raises:
            UnknownQuarantine: No entry of that name has rows, or they were dropped.
        """
        import pandas as pd

        path = self._folder / self.show(name).name / _ROWS
        if not path.is_file():
            with_rows = [entry for entry in self.entries() if (self._folder / entry.name / _ROWS).is_file()]
            raise UnknownQuarantine(name, [entry.name for entry in with_rows])
        return pd.read_parquet(path)

    def release(self, name: str, folder: Path, *, reason: str) -> None:
        """Copy the files of a refused batch to the landing folder, marked as released, the manifest last.

        Raises:
            UnknownQuarantine: No entry has that name.
            Unfit: Another revision of the batch is in the landing folder.
        """
        contents = _read(sorted(self._data(name), key=lambda path: path.suffix == ".json"))
        for file in contents:
            if file.endswith(".json"):
                contents[file] = landing.released(contents[file], by=name, reason=reason)
        landing.put(folder, contents)

    def drop(self, name: str) -> None:
        """Delete the data of an entry, and keep its reason.

        Raises:
            UnknownQuarantine: No entry has that name.
        """
        for path in self._data(name):
            path.unlink()

    def _data(self, name: str) -> list[Path]:
        folder = self._folder / self.show(name).name
        return [path for path in folder.glob("[!.]*") if path.name != _ENTRY]

    def _put(
        self,
        batch: str,
        kind: Literal["batch", "rows"],
        contents: Mapping[str, bytes],
        *,
        reason: str,
        rows: int = 0,
        details: Mapping[str, int] | None = None,
        row_ids: Sequence[str] = (),
    ) -> Quarantined:
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in batch)[:100]
        name = f"{safe}-{kind}-{hashlib.sha256(b''.join(contents.values())).hexdigest()[:8]}"
        folder = self._folder / name
        entry = Quarantined(
            name=name,
            batch=batch,
            kind=kind,
            reason=reason,
            rows=rows,
            path=str(folder),
            details=dict(details or {}),
            row_ids=tuple(row_ids),
        )
        # Written last, so that an entry always has all of its data.
        for file, content in {**contents, _ENTRY: to_json(entry).encode()}.items():
            write(folder / file, content)
        return entry


def _read(paths: Iterable[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}
