"""Check the stores, the services, the versions and this machine, and say what to do about each problem."""

from collections.abc import Callable
from pathlib import Path

from trimtab import settings
from trimtab.ops.doctor import clocks, machine, models, services
from trimtab.ops.doctor.finding import Check, Finding, Warn, within
from trimtab.ops.doctor.store_checks import Places
from trimtab.settings import Settings

__all__ = ["Finding", "examine"]

_SECONDS = 60.0
"""For one check: on a busy machine the import of MLflow alone takes ten."""


def examine(*, seconds: float = _SECONDS) -> list[Finding]:
    """Make all checks, even if some fail; each command is ended after `seconds`."""
    return [within(name, check, seconds) for name, check in _checks(settings.read(), seconds).items()]


def _checks(where: Settings, seconds: float) -> dict[str, Check]:
    places, home = Places(where, seconds), where.home
    return {
        "Python": machine.python,
        "packages": lambda: machine.packages(Path("requirements.txt")),
        "disk": lambda: machine.disk(home),
        "home folder": lambda: machine.home_folder(home),
        "secret files": lambda: machine.secret_files(home, Path()),
        "clock": lambda: clocks.clock(where),
        "origin": places.origin,
        "DVC remote": places.remote,
        "MLflow": places.mlflow,
        "ledger": places.ledger,
        "prediction log": places.predictions,
        "Production versions": lambda: models.production(places),
        "blocks of time": lambda: models.blocks_of_time(places),
        "Airflow": _service(where, "airflow_url", services.airflow),
        "model service": _service(where, "service_url", services.model_service),
        "Prometheus": _service(where, "prometheus_url", services.prometheus),
        "Alertmanager": _service(where, "alertmanager_url", services.alertmanager),
    }


def _service(where: Settings, field: str, check: Callable[[str], str | Warn]) -> Check:
    unset = f"not set up: {Settings.variable(field)} is not set"
    return lambda: check(url) if (url := getattr(where, field)) else unset
