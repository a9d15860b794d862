"""Find files with passwords, keys and tokens that other users of this machine can read."""

import stat
from collections.abc import Iterator
from pathlib import Path

from trimtab import settings
from trimtab.ops.doctor.finding import Warn
from trimtab.redaction import redact

_IN_HOME = ("alerts.token", "airflow/passwords.json", "airflow/secrets.json")
_IN_TREE = ("deploy/compose/secrets", "deploy/kubernetes/secrets", ".dvc/config.local")
_OF_CHECKOUTS = [
    f"work/{checkout}/{file}"
    for checkout in ("*", "*/clone")
    for file in (".git/config", ".dvc/config.local")
]
"""Files that may hold the URL of the origin or the DVC remote, with a password in it."""
_READ = stat.S_IRGRP | stat.S_IROTH
_READ_TO_ENTER = 2
"""Bits between the permissions to read a file and to enter a folder, for the same class of users."""


def exposed(home: Path, tree: Path) -> str | Warn:
    """Name the files that the group or everybody can read, and the command that corrects it.

    A file in a folder that nobody else may enter is safe, and so is a secret that is mounted into a container
    (`/run/secrets`).
    """
    files = sorted(set(_files(home, tree)))
    exposed_files = [str(path) for path in files if _is_exposed(path, home)]
    if not exposed_files:
        return f"{len(files)} files with secrets, readable by their owner only"
    return Warn(
        f"others can read {', '.join(exposed_files)}. Run: chmod go-rwx {' '.join(exposed_files)}; then replace these "
        f"secrets if other people use this machine."
    )


def _files(home: Path, tree: Path) -> Iterator[Path]:
    where = settings.read()
    named = [path for field, path in where if field.endswith("_file") and path]
    dvc = where.dvc_global_config_dir / "config"
    checkouts = (path for pattern in _OF_CHECKOUTS for path in home.glob(pattern))
    yield from (path for path in checkouts if redact(text := path.read_text(encoding="utf-8")) != text)
    for path in (*named, dvc, *(home / name for name in _IN_HOME), *(tree / name for name in _IN_TREE)):
        if Path("/run/secrets") not in path.parents:
            files = (path,) if path.is_file() else path.rglob("*")
            yield from (file.resolve() for file in files if file.is_file())


def _is_exposed(path: Path, home: Path) -> bool:
    may_read = path.stat().st_mode & _READ
    for folder in {path.parent, *(folder for folder in path.parents if home.resolve() in folder.parents)}:
        may_read &= folder.stat().st_mode << _READ_TO_ENTER
    return bool(may_read)
