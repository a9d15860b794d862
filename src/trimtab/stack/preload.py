"""Modules that the scheduler imports once, so that its forks, the tasks, need not import them again.

Measured on two busy cores, without and with: listing landed batches 2.1 and 0.2 s, ingesting 12.5 and 3.4 s, measuring a
batch 17 and 4 s. It takes some 200 MB, which the forks share. Only third-party modules are listed: modules of trimtab would
be outdated in a scheduler that runs on after an edit. No module may start threads of OpenMP at import, because a fork that
uses them hangs.
"""

import importlib
import os

VARIABLE = "TRIMTAB_PRELOAD"
"""Set for the scheduler only, because Airflow imports its local settings in each of its processes."""

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
    """Import the modules if the environment variable is set."""
    if os.environ.get(VARIABLE):
        for name in MODULES:
            importlib.import_module(name)
