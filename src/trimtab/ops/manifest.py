"""The manifest of a backup: when and by which trimtab it was taken, what it contains, and the digest of every file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trimtab import files
from trimtab.errors import Unfit

FILE = "manifest.json"
LAYOUT = 2
"""Version of the layout of a backup's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The last file that is written.

    `counts` has an entry per store, `files` the SHA-256 of each file. `deleted_versions` are in the ledger, but were deleted
    in MLflow.
    """

    layout: int
    taken_at: str
    trimtab: str
    model: str
    commit: str
    counts: Mapping[str, Mapping[str, int]]
    deleted_versions: Sequence[str]
    files: Mapping[str, str]


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder except the manifest, by relative path."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: files.digest(paths[name], "sha256") for name in sorted(paths) if name != FILE}


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a complete backup."""
    files.write(folder / FILE, json.dumps(asdict(manifest), indent=1) + "\n")


def verified(folder: Path) -> Manifest:
    """Read the manifest of a backup, and compare all files with it.

    Raises:
        Unfit: The backup is incomplete, or was changed since it was taken.
    """
    path = folder / FILE
    if folder.suffix == ".part" or not path.is_file():
        raise Unfit(
            f"{folder} is not a complete backup: expected a folder with {FILE}, not ending in .part",
            "Name another; `trimtab ops backup` writes the manifest last.",
        )
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("layout") != LAYOUT:
        raise Unfit(
            f"{path}: expected layout {LAYOUT}, got {content.get('layout')!r}",
            f"Restore it with trimtab {content.get('trimtab')}, which took it.",
        )
    manifest = Manifest(**content)
    wrong = sorted(name for name, _ in digests(folder).items() ^ manifest.files.items())
    if wrong:
        raise Unfit(
            f"{folder}: files are missing, changed or added since the backup was taken, the first: {wrong[0]}",
            "Nothing was restored. Take another backup.",
        )
    return manifest
