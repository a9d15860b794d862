"""Look at the stores, services, versions and this machine, and say for each what to do."""

from pathlib import Path

from trimtab import settings
from trimtab.ops.doctor import clocks, machine, models, secret_files, services
from trimtab.ops.doctor.finding import Check, Finding, within
from trimtab.ops.doctor.store_checks import Places
from trimtab.settings import Settings

__all__ = ["Finding", "examine"]

_SECONDS = 60.0
"""For one check: MLflow alone takes ten to be imported on a busy machine."""


def examine(*, seconds: float = _SECONDS) -> list[Finding]:
    """Run every check, whatever became of those before it; each command is ended after `seconds`."""
    checks = _checks(settings.read(), seconds)
    return [within(name, check, seconds) for name, check in checks.items()]


def _checks(where: Settings, seconds: float) -> dict[str, Check]:
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
        "model service": services.model_service,
        "Prometheus": services.prometheus,
        "Alertmanager": services.alertmanager,
    }
