"""Where the five stores are: one URL each from the environment, an embedded default under `TRIMTAB_HOME` (`var/`)."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from trimtab import redaction

_OVER: ContextVar[Mapping[str, str] | None] = ContextVar("settings of one model", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Addresses of the five stores, and the folders that belong to this machine."""

    home: Path
    origin: str
    dvc_remote: str
    mlflow: str
    ledger: str
    prediction_log: str
    landing: Path

    @property
    def quarantine(self) -> Path:
        """Folder of what was refused, original kept."""
        return self.home / "quarantine"

    @property
    def dvc_cache(self) -> Path:
        """Folder that all checkouts share."""
        return self.home / "dvc-cache"

    @property
    def spool(self) -> Path:
        """Folder of what the service has accepted and the prediction log has not taken yet."""
        return self.home / "spool"

    @property
    def work(self) -> Path:
        """Folder of the checkouts, one a run."""
        return self.home / "work"


@contextmanager
def of(settings: Mapping[str, str]) -> Iterator[None]:
    """Read one model's settings over the environment, in this thread alone: for a process that serves many models."""
    redaction.remember(settings)
    token = _OVER.set(settings)
    try:
        yield
    finally:
        _OVER.reset(token)


def setting(name: str) -> str | None:
    """Return a variable of the model at hand, or of the environment."""
    return {**os.environ, **(_OVER.get() or {})}.get(name)


def from_environment() -> Stores:
    """Read the addresses; relative paths are taken from the working directory and made absolute."""
    found = {**os.environ, **(_OVER.get() or {})}
    home = Path(found.get("TRIMTAB_HOME", "var")).resolve()
    return Stores(
        home=home,
        origin=found.get("TRIMTAB_ORIGIN_URL", str(home / "origin.git")),
        dvc_remote=found.get("TRIMTAB_DVC_REMOTE_URL", str(home / "dvc-remote")),
        mlflow=found.get("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}"),
        ledger=found.get("TRIMTAB_LEDGER_URL", f"sqlite:///{home / 'ledger.db'}"),
        prediction_log=found.get("TRIMTAB_PREDICTION_LOG_URL", f"sqlite:///{home / 'predictions.db'}"),
        landing=Path(found.get("TRIMTAB_LANDING", str(home / "landing"))).resolve(),
    )
