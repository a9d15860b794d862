"""The quarantine folder: one folder an entry, with the original, and `entry.json` with the reason."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab import files
from trimtab.contracts import Quarantined, from_json, to_json
from trimtab.data import landing
from trimtab.errors import UnknownQuarantine

if TYPE_CHECKING:
    import pandas as pd

_ENTRY = "entry.json"
_ROWS = "rows.parquet"


class Quarantine:
    """What was refused. Who released or dropped it stands in the ledger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy_batch(
        self, batch: str, *, reason: str, files: Sequence[Path], row_ids: Sequence[str] = ()
    ) -> Quarantined:
        """Keep the files of a refused batch, and leave the originals until the ledger knows of the entry.

        The same content again is the same entry, and so is what is left of it when an earlier run was killed while it
        removed the originals.
        """
        contents = {path.name: path.read_bytes() for path in files}
        for entry in self._of(batch):
            held = {path.name: path for path in self._data(entry.name)}
            if set(contents) < set(held) and all(
                held[name].read_bytes() == content for name, content in contents.items()
            ):
                return entry
        digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
        return self._put(batch, "batch", digest, contents, reason=reason, row_ids=row_ids)

    def put_rows(
        self, batch: str, rows: "pd.DataFrame", *, reason: str, details: Mapping[str, int]
    ) -> Quarantined:
        """Keep refused rows as they came, with their `fault`; the same rows again are the same entry."""
        content = rows.to_parquet(index=False)
        digest = hashlib.sha256(content).hexdigest()
        return self._put(
            batch, "rows", digest, {_ROWS: content}, reason=reason, rows=len(rows), details=details
        )

    def entries(self) -> list[Quarantined]:
        """Return every entry that was ever put here, by name; one that was dropped has lost its data only."""
        found = sorted(self._folder.glob(f"*/{_ENTRY}"))
        return [from_json(Quarantined, path.read_bytes()) for path in found]

    def show(self, name: str) -> Quarantined:
        """Read one entry.

        Raises:
            UnknownQuarantine: There is none of that name.
        """
        path = self._folder / name / _ENTRY
        if Path(name).name != name or not path.is_file():
            raise UnknownQuarantine(name, [entry.name for entry in self.entries()])
        return from_json(Quarantined, path.read_bytes())

    def rows(self, name: str) -> "pd.DataFrame":
        """Return the rows of an entry that holds rows.

        Raises:
            UnknownQuarantine: No entry of that name holds rows any more.
        """
        import pandas as pd

        path = self._folder / self.show(name).name / _ROWS
        if not path.is_file():
            holding = [
                entry.name for entry in self.entries() if (self._folder / entry.name / _ROWS).is_file()
            ]
            raise UnknownQuarantine(name, holding)
        return pd.read_parquet(path)

    def release(self, name: str, folder: Path, *, reason: str) -> list[Path]:
        """Put the files of a refused batch into the landing folder, marked as released; the manifest last.

        The entry keeps its copy.

        Raises:
            UnknownQuarantine: There is none of that name.
            Unfit: Another revision of the batch waits in the landing folder.
        """
        held = sorted(self._data(name), key=lambda path: path.suffix == ".json")
        contents = {path.name: path.read_bytes() for path in held}
        marked = {
            file: landing.released(content, by=name, reason=reason) if file.endswith(".json") else content
            for file, content in contents.items()
        }
        return landing.put(folder, marked)

    def drop(self, name: str) -> None:
        """Delete the data of an entry; its reason stays.

        Raises:
            UnknownQuarantine: There is none of that name.
        """
        for path in list(self._data(name)):
            path.unlink()

    def _of(self, batch: str) -> Iterator[Quarantined]:
        return (entry for entry in self.entries() if entry.batch == batch and entry.kind == "batch")

    def _data(self, name: str) -> Iterator[Path]:
        entry = self.show(name)
        return (path for path in (self._folder / entry.name).glob("[!.]*") if path.name != _ENTRY)

    def _put(
        self,
        batch: str,
        kind: str,
        digest: str,
        contents: Mapping[str, bytes],
        *,
        reason: str,
        rows: int = 0,
        details: Mapping[str, int] | None = None,
        row_ids: Sequence[str] = (),
    ) -> Quarantined:
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in batch)[:100]
        name = f"{safe}-{kind}-{digest[:8]}"
        folder = self._folder / name
        entry = Quarantined(
            name=name,
            batch=batch,
            kind="batch" if kind == "batch" else "rows",
            reason=reason,
            rows=rows,
            path=str(folder),
            details=dict(details or {}),
            row_ids=tuple(row_ids),
        )
        # The entry is written last: where it is, the data is whole.
        for file, content in {**contents, _ENTRY: to_json(entry).encode()}.items():
            files.write(folder / file, content)
        return entry
