"""Copy folders, on this machine or in an object store."""

from pathlib import Path
from typing import Any

import fsspec


def fetch_tree(location: str, dest: Path) -> int:
    """Copy the files at a path or URL to a folder, and count them; a file that is deleted meanwhile is left out."""
    fs, root = fsspec.core.url_to_fs(location.rstrip("/"))
    return sum(_fetch(fs, name, dest / name.removeprefix(root).lstrip("/")) for name in fs.find(root))


def put_tree(source: Path, location: str) -> None:
    """Copy a folder's files to a path or URL, over files of the same name."""
    fs, root = fsspec.core.url_to_fs(location.rstrip("/"))
    fs.put(f"{source}/", f"{root}/", recursive=True)


def any_file(location: str) -> bool:
    """Say whether there is a file at a path or URL."""
    fs, root = fsspec.core.url_to_fs(location)
    return bool(fs.find(root))


def _fetch(fs: Any, name: str, dest: Path) -> int:
    dest.parent.mkdir(parents=True, exist_ok=True)
    try:
        fs.get_file(name, str(dest))
    except FileNotFoundError:
        dest.unlink(missing_ok=True)
        return 0
    return 1
