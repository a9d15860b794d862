"""What a backup says of itself: when, by which trimtab, what is in it, and the digest of every file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from trimtab.errors import Unfit

FILE = "manifest.json"
LAYOUT = 1
"""Of a backup's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The last file that is written; `counts` has one entry a store, `files` one a file: its sha256."""

    layout: int
    taken_at: str
    trimtab: str
    model: str
    commit: str
    counts: Mapping[str, Mapping[str, int]]
    files: Mapping[str, str]


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder but the manifest, by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in files
        if path.relative_to(folder) != Path(FILE)
    }


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder that is whole."""
    (folder / FILE).write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")


def verified(folder: Path) -> Manifest:
    """Read the manifest of a backup whose every file is there, and is what it was.

    Raises:
        Unfit: It is no whole backup, or not the one that was taken.
    """
    path = folder / FILE
    if folder.suffix == ".part" or not path.is_file():
        raise Unfit(
            f"{folder} is no whole backup: expected a folder with {FILE}, not ending in .part",
            "Name another; `trimtab ops backup` writes the manifest last.",
        )
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("layout") != LAYOUT:
        raise Unfit(
            f"{path}: expected layout {LAYOUT}, got {found.get('layout')!r}",
            f"Restore it with trimtab {found.get('trimtab')}, which took it.",
        )
    manifest, have = Manifest(**found), digests(folder)
    wrong = sorted(name for name in {*have, *manifest.files} if have.get(name) != manifest.files.get(name))
    if wrong:
        raise Unfit(
            f"{folder}: {len(wrong)} file(s) are missing, changed or added since it was taken, the first: {wrong[0]}",
            "Nothing was restored. Take another backup.",
        )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
