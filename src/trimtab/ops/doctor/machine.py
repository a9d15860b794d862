"""Check this machine: Python, installed packages, disk, home folder, and who can read files with secrets."""

import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from trimtab import settings
from trimtab.errors import Unfit
from trimtab.ops.doctor.finding import Warn
from trimtab.redaction import redact
from trimtab.stack import preflight

_SHOWN = 5
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


def python() -> str:
    """Refuse a Python that is too old."""
    preflight.check_python(sys.version_info[:2])
    return sys.version.split()[0]


def packages(requirements: Path) -> str | Warn:
    """Compare installed packages with the pinned versions; packages that are not installed belong to other images."""
    if not requirements.is_file():
        return f"not compared: there is no {requirements.name} in {requirements.resolve().parent}"
    lines = requirements.read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    expected = {
        pin.name: str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }
    installed = _installed(sorted(expected))
    others = [
        f"{name}: expected {expected[name]}, got {version}"
        for name, version in installed.items()
        if version != expected[name]
    ]
    if not others:
        return f"the {len(installed)} installed are those of {requirements.name}"
    more = f"; and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return Warn(
        f"{'; '.join(others[:_SHOWN])}{more}. Run `make setup`, or test what is installed and pin it with `make lock`."
    )


def _installed(names: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def disk(home: Path) -> str:
    """Return the free disk space; too little is an error."""
    free = preflight.free_bytes(home)
    preflight.check_disk(home, free=free)
    return f"{free / 1e9:.1f} GB free"


def home_folder(home: Path) -> str:
    """Refuse a home folder that cannot be written."""
    try:
        with tempfile.TemporaryFile(dir=home):
            return f"{home} can be written"
    except OSError as error:
        raise Unfit(
            f"{home} cannot be written ({error.strerror})", "Give it to the user who runs trimtab."
        ) from error


def secret_files(home: Path, tree: Path) -> str | Warn:
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
