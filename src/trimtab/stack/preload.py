"""Imports paid once: the scheduler makes them, and each task is a fork of it."""

import importlib
import os

VARIABLE = "TRIMTAB_PRELOAD"
"""Set for the scheduler only: Airflow reads its local settings in each of its processes."""

MODULES = (
    "pandas",
    "pandera.pandas",
    "pyarrow.parquet",
    "sklearn.pipeline",
    "sklearn.ensemble",
    "skops.io",
    "sqlalchemy",
    "mlflow",
    "mlflow.sklearn",
    "evidently",
    "evidently.presets",
)


def preload() -> None:
    """Import what tasks will need, where the environment asks for it."""
    if os.environ.get(VARIABLE):
        for name in MODULES:
            importlib.import_module(name)
