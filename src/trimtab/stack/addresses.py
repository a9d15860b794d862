"""The URLs of the stack of a home folder."""

from dataclasses import dataclass
from pathlib import Path

from trimtab.settings import Ports
from trimtab.stack import config, supervision
from trimtab.stack.ports import HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """URLs of the servers, and the file with Airflow's passwords."""

    airflow: str
    mlflow: str
    service: str
    passwords: Path


def addresses(home: Path) -> Addresses:
    """Return where the stack of a home listens, or will listen once it is started."""
    state = supervision.load(home.resolve())
    listening = state.ports if state else Ports()
    return Addresses(
        airflow=f"http://{HOST}:{listening.airflow}",
        mlflow=f"http://{HOST}:{listening.mlflow}",
        service=f"http://{HOST}:{listening.service}",
        passwords=config.passwords_file(home),
    )
