"""Where the five stores are: one URL each from the environment, an embedded default under `TRIMTAB_HOME` (`var/`)."""

import os
from dataclasses import dataclass
from pathlib import Path


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


def from_environment() -> Stores:
    """Read the addresses; relative paths are taken from the working directory and made absolute."""
    home = Path(os.environ.get("TRIMTAB_HOME", "var")).resolve()
    return Stores(
        home=home,
        origin=os.environ.get("TRIMTAB_ORIGIN_URL", str(home / "origin.git")),
        dvc_remote=os.environ.get("TRIMTAB_DVC_REMOTE_URL", str(home / "dvc-remote")),
        mlflow=os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}"),
        ledger=os.environ.get("TRIMTAB_LEDGER_URL", f"sqlite:///{home / 'ledger.db'}"),
        prediction_log=os.environ.get("TRIMTAB_PREDICTION_LOG_URL", f"sqlite:///{home / 'predictions.db'}"),
        landing=Path(os.environ.get("TRIMTAB_LANDING", str(home / "landing"))).resolve(),
    )
