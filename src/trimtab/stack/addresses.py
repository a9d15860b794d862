"""Where the stack of a home listens, for a person and for the waiting."""

from dataclasses import dataclass
from pathlib import Path

from trimtab.settings import Ports
from trimtab.stack import config, supervision
from trimtab.stack.ports import HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where to look, and the file of Airflow's passwords."""

    airflow: str
    mlflow: str
    service: str
    passwords: Path


def addresses(home: Path) -> Addresses:
    """Return where the stack of a home listens, or would."""
    state = supervision.load(home.resolve())
    found = state.ports if state else Ports()
    return Addresses(
        airflow=f"http://{HOST}:{found.airflow}",
        mlflow=f"http://{HOST}:{found.mlflow}",
        service=f"http://{HOST}:{found.service}",
        passwords=config.passwords_file(home),
    )
