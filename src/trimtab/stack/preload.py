"""Imports paid once: the scheduler makes them, and each task is a fork of it.

Measured on two busy cores, without and with: listing what landed 2.1 and 0.2 s, ingesting 12.5 and 3.4, measuring a batch
17 and 4. It costs some 200 MB, which the forks share. Only third-party modules belong here: our own would go stale in a
scheduler that outlives an edit. Nothing here may run parallel code at import: a fork of a process whose OpenMP has
threads hangs when it uses them.
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
    "mlflow",
    "mlflow.sklearn",
    "evidently",
    "evidently.presets",
)


def preload() -> None:
    """Import what tasks will need, in the scheduler only: Airflow reads its local settings in each of its processes."""
    if settings.read().preload:
        for name in MODULES:
            importlib.import_module(name)
