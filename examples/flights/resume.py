"""Fresh or resumed: what a demo finds in its home, and what it may remove there."""

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
SERVED = "demo-served"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How the demo begins, with its line for the reader, and what goes first."""

    kind: Literal["fresh", "resume"]
    sentence: str
    remove: tuple[str, ...] = ()


def decide(
    marker: Demo | None, *, present: Collection[str], running: bool, params_sha256: str, weeks: int
) -> Beginning:
    """Choose between a fresh start and going on; never let anything go that the marker does not claim.

    Args:
        marker: What the last demo in this home wrote.
        present: Names of the home's entries that the loop would use.
        running: Whether a stack runs on this home.
        params_sha256: Of the working tree's `params.yaml`.
        weeks: How many weeks are asked for.

    Raises:
        Unfit: The home holds a loop that is not the demo's, or a fresh start would pull it from under a running stack.
    """
    if marker is None:
        return _first(present, running)
    if not marker.finished and marker.params_sha256 == params_sha256 and weeks >= marker.weeks:
        return Beginning(kind="resume", sentence=f"Resuming the interrupted demo: {_place(marker)}.")
    if running:
        raise Unfit("The stack runs on a home that a fresh demo would clear", "Run `make down` first.")
    why = "the last demo was finished"
    if not marker.finished:
        changed = marker.params_sha256 != params_sha256
        why = "params.yaml changed" if changed else f"fewer weeks than the {marker.weeks} that were begun"
    foreign = sorted(set(present) - set(marker.made))
    if foreign:
        raise Unfit(f"The home holds what the last demo did not make: {', '.join(foreign)}", _MOVE)
    return Beginning(
        kind="fresh",
        sentence=f"Starting fresh ({why}); removing what the last demo made.",
        remove=marker.made,
    )


_MOVE = "The demo removes nothing of yours: move it away, or set TRIMTAB_HOME to another folder."


def _first(present: Collection[str], running: bool) -> Beginning:
    if running:
        raise Unfit(
            "A stack that the demo did not start runs on this home", "Run `make down`, or set TRIMTAB_HOME."
        )
    if present:
        raise Unfit(f"The home holds a loop that the demo did not make: {', '.join(sorted(present))}", _MOVE)
    return Beginning(kind="fresh", sentence="Starting fresh.")


def _place(marker: Demo) -> str:
    open_week = next((week.batch for week in marker.played if not week.done), None)
    if open_week is not None:
        return f"in the middle of week {open_week}"
    if marker.played:
        return f"after week {marker.played[-1].batch}"
    return "before its first played week" if marker.first else "before its first model"


def claims(where: Settings) -> frozenset[str]:
    """Name the entries of the home that the loop makes, and the demo beside it.

    Raises:
        Unfit: A store lies outside the home: a fresh start could not clear it.
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
                f"{variable} names {address}, and the demo plays in {where.home} only", f"Unset {variable}."
            )
    names = {Path(address).name for address in inside.values()}
    databases = {name for name in names if name.endswith(".db")} | {"mlflow.db"}
    journals = {f"{name}-{kind}" for name in databases for kind in ("wal", "shm")}
    folders = {path.name for path in (where.quarantine, where.work, where.dvc_cache, where.spool)}
    others = {"airflow", "logs", "mirror.git", "mirror.lock", "mlflow-artifacts", "models", "stack"}
    return frozenset(names | databases | journals | folders | others | {PAGE, SERVED, MARKER})


def clear(home: Path, names: Collection[str]) -> None:
    """Remove entries of the home by name; the marker goes last, so that a kill in between can be repeated."""
    for name in sorted(names, key=lambda one: one == MARKER):
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def digest(tree: Path) -> str:
    """Return the sha256 of the tree's `params.yaml`."""
    return hashlib.sha256((tree / params.FILE).read_bytes()).hexdigest()
