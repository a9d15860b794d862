"""Check the stores, the services, the versions and this machine, and say what to do about each problem."""

from pathlib import Path

from trimtab import stores
from trimtab.ops.doctor import clocks, machine, models, secret_files, services
from trimtab.ops.doctor.finding import Check, Finding, within
from trimtab.ops.doctor.store_checks import Places
from trimtab.stores import Stores

__all__ = ["Finding", "examine"]

_SECONDS = 60.0
"""For one check: on a busy machine the import of MLflow alone takes ten."""


def examine(*, seconds: float = _SECONDS) -> list[Finding]:
    """Make all checks, even if some fail; each command is ended after `seconds`."""
    checks = _checks(stores.from_environment(), seconds)
    return [within(name, check, seconds) for name, check in checks.items()]


def _checks(where: Stores, seconds: float) -> dict[str, Check]:
    places, home = Places(where, seconds), where.home
    return {
        "Python": machine.python,
        "packages": lambda: machine.packages(Path("requirements.txt")),
        "disk": lambda: machine.disk(home),
        "home folder": lambda: machine.home_folder(home),
        "secret files": lambda: secret_files.exposed(home, Path()),
        "clock": lambda: clocks.clock(where),
        "origin": places.origin,
        "DVC remote": places.remote,
        "MLflow": places.mlflow,
        "ledger": places.ledger,
        "prediction log": places.predictions,
        "Production versions": lambda: models.production(places),
        "Airflow": services.airflow,
        "model service": lambda: services.ready(*services.READY["model service"]),
        "Prometheus": services.prometheus,
        "Alertmanager": services.alertmanager,
    }
