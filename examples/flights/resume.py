"""Whether a demo starts fresh or resumes, and what it may remove from its home."""

import hashlib
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from examples.flights.records import MARKER, Demo
from trimtab import params
from trimtab.errors import Unfit
from trimtab.settings import Settings

PAGE = "demo.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How the demo begins, the sentence that it prints, and what it removes first."""

    kind: Literal["fresh", "resume"]
    sentence: str
    remove: tuple[str, ...] = ()


def decide(
    marker: Demo | None, *, present: Collection[str], running: bool, params_sha256: str, weeks: int
) -> Beginning:
    """Decide whether to start fresh or to resume; nothing is removed that the marker does not name.

    Args:
        marker: The marker of the last demo in this home.
        present: Names of the home's entries that the loop would use.
        running: Whether a stack runs on this home.
        params_sha256: SHA-256 of the working tree's `params.yaml`.
        weeks: Number of weeks to play.

    Raises:
        Unfit: The home holds a loop that the demo did not create, or a fresh start would clear the home of a running stack.
    """
    if marker is None:
        if running:
            raise Unfit(
                "A stack that the demo did not start runs on this home",
                "Run `make down`, or set TRIMTAB_HOME.",
            )
        _refuse_files(present, "The home holds a loop that the demo did not create")
        return Beginning(kind="fresh", sentence="Starting fresh.")
    differences = {
        "the last demo was finished": marker.finished,
        "params.yaml changed": marker.params_sha256 != params_sha256,
        f"fewer weeks than the {marker.weeks} of the last demo": weeks < marker.weeks,
    }
    why = next((difference for difference, exists in differences.items() if exists), None)
    if why is None:
        return Beginning(kind="resume", sentence=f"Resuming the interrupted demo: {_place(marker)}.")
    if running:
        raise Unfit("The stack runs on a home that a fresh demo would clear", "Run `make down` first.")
    _refuse_files(set(present) - set(marker.made), "The home holds files that the last demo did not create")
    return Beginning(
        kind="fresh",
        sentence=f"Starting fresh ({why}); removing what the last demo created.",
        remove=marker.made,
    )


def _refuse_files(names: Collection[str], what: str) -> None:
    if names:
        remedy = "The demo does not remove your files: move them, or set TRIMTAB_HOME to another folder."
        raise Unfit(f"{what}: {', '.join(sorted(names))}", remedy)


def _place(marker: Demo) -> str:
    if not marker.played:
        return "before its first played week" if marker.first else "before its first model"
    last = marker.played[-1]
    return f"{'after' if last.done else 'in the middle of'} week {last.batch}"


def claims(where: Settings) -> frozenset[str]:
    """Return the names of the entries of the home that the loop and the demo create.

    Raises:
        Unfit: A store is outside the home, where a fresh start could not clear it.
    """
    inside = {
        "TRIMTAB_ORIGIN_URL": where.origin,
        "TRIMTAB_DVC_REMOTE_URL": where.dvc_remote,
        "TRIMTAB_LEDGER_URL": where.ledger.removeprefix("sqlite:///"),
        "TRIMTAB_PREDICTION_LOG_URL": where.prediction_log.removeprefix("sqlite:///"),
        "TRIMTAB_LANDING": str(where.landing),
    }
    for variable, address in inside.items():
        if Path(address).parent != where.home:
            raise Unfit(
                f"{variable} is {address}, which is outside the demo's home {where.home}",
                f"Unset {variable}.",
            )
    names = {Path(address).name for address in inside.values()}
    names |= {path.name for path in (where.quarantine, where.work, where.dvc_cache, where.spool)}
    names |= {
        "airflow",
        "logs",
        "mirror.git",
        "mirror.lock",
        "mlflow-artifacts",
        "mlflow.db",
        "models",
        "stack",
    }
    journals = {f"{name}-{kind}" for name in names if name.endswith(".db") for kind in ("wal", "shm")}
    return frozenset(names | journals | {PAGE, MARKER})


def clear(home: Path, names: Collection[str]) -> None:
    """Remove entries of the home by name; the marker is removed last, so that a killed demo can start again."""
    for name in sorted(names, key=lambda name: name == MARKER):
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def digest(tree: Path) -> str:
    """Return the SHA-256 of the tree's `params.yaml`."""
    return hashlib.sha256((tree / params.FILE).read_bytes()).hexdigest()
