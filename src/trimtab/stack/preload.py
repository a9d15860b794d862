"""Modules that the scheduler imports once, so that its forks, the tasks, need not import them again.

Measured on two busy cores, without and with: listing landed batches 2.1 and 0.2 s, ingesting 12.5 and 3.4 s, measuring a
batch 17 and 4 s. It takes some 200 MB, which the forks share. Only third-party modules are listed: modules of trimtab would
be outdated in a scheduler that runs on after an edit. No module may start threads of OpenMP at import, because a fork that
uses them hangs.
"""

import importlib

from trimtab import settings

MODULES = (
    "pandas",
    "pandera.pandas",
    "pyarrow.parquet",
    "sklearn.pipeline",
    "sklearn.ensemble",
    "scipy.stats",
    "skops.io",
    "sqlalchemy",
    "alembic.command",
    "mlflow",
    "mlflow.sklearn",
    "evidently",
    "evidently.presets",
)


def preload() -> None:
    """Import the modules, in the scheduler only: Airflow imports its local settings in each of its processes."""
    if settings.read().preload:
        for name in MODULES:
            importlib.import_module(name)
