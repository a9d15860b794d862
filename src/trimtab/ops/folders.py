"""Copy folders, on this machine or in an object store."""

import shutil
from pathlib import Path
from typing import Any

import fsspec


def fetch_tree(location: str, dest: Path) -> int:
    """Copy the files at a path or URL to a folder, and count them; a file that is deleted meanwhile is left out."""
    fs, root = _at(location)
    if not fs.exists(root):
        return 0
    names = [str(name) for name in fs.find(root)]
    return sum(_fetch(fs, name, dest / name.removeprefix(root).lstrip("/")) for name in names)


def put_tree(source: Path, location: str) -> None:
    """Copy a folder's files to a path or URL, over files of the same name."""
    fs, root = _at(location)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target = f"{root}/{path.relative_to(source).as_posix()}"
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(path), target)


def is_empty(location: str) -> bool:
    """Say whether there is no file at a path or URL."""
    fs, root = _at(location)
    return not (fs.exists(root) and fs.find(root))


def remove(path: Path) -> None:
    """Remove a folder that trimtab created."""
    shutil.rmtree(path, ignore_errors=True)


def _at(location: str) -> tuple[Any, str]:
    fs, root = fsspec.core.url_to_fs(location)
    return fs, str(root).rstrip("/")


def _fetch(fs: Any, name: str, dest: Path) -> int:
    dest.parent.mkdir(parents=True, exist_ok=True)
    try:
        fs.get_file(name, str(dest))
    except FileNotFoundError:
        dest.unlink(missing_ok=True)
        return 0
    return 1
