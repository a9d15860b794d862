"""Files of passwords, keys and tokens that others on this machine can read."""

import stat
from collections.abc import Iterator
from pathlib import Path

from trimtab import settings
from trimtab.ops.doctor.finding import Doubt

_NAMED_BY = (
    "alerts_token_file",
    "service_tokens_file",
    "service_token_file",
    "airflow_passwords_file",
    "airflow_simple_passwords_file",
)
_IN_HOME = ("alerts.token", "airflow/passwords.json", "airflow/secrets.json")
_IN_TREE = ("deploy/compose/secrets", "deploy/kubernetes/secrets", ".dvc/config.local")
_READ = stat.S_IRGRP | stat.S_IROTH
_READ_TO_ENTER = 2
"""How many bits to the right of a class's read permission its permission to enter a folder stands."""


def exposed(home: Path, tree: Path) -> str | Doubt:
    """Name the files that the group or everybody can read, and the command that ends it.

    A folder that nobody else may enter guards what is in it. A mounted secret (`/run/secrets`) is guarded by the container.
    """
    files = sorted(set(_files(home, tree)))
    open_ones = [str(path) for path in files if _open(path)]
    if not open_ones:
        return f"{len(files)} files of secrets, read by their owner only"
    return Doubt(
        found=f"others can read {', '.join(open_ones)}. Run: chmod go-rwx {' '.join(open_ones)}; then make those "
        f"secrets anew if somebody else uses this machine."
    )


def _files(home: Path, tree: Path) -> Iterator[Path]:
    read = settings.read()
    named = [path for field in _NAMED_BY if (path := getattr(read, field))]
    dvc = read.dvc_global_config_dir / "config"
    for path in (*named, dvc, *(home / one for one in _IN_HOME), *(tree / one for one in _IN_TREE)):
        if Path("/run/secrets") in path.parents:
            continue
        yield from (
            one.resolve() for one in ((path,) if path.is_file() else path.rglob("*")) if one.is_file()
        )


def _open(path: Path) -> bool:
    may_read = path.stat().st_mode & _READ
    return bool(may_read >> _READ_TO_ENTER & path.parent.stat().st_mode)
