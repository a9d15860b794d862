"""An empty MLflow database, made once a machine: its eighty migrations would take seconds in each test."""

import os
import shutil
import tempfile
from pathlib import Path


def empty_mlflow(path: Path) -> str:
    """Put an empty MLflow database at a path where none is yet, and return its URI."""
    import mlflow
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    template = Path(tempfile.gettempdir()) / f"trimtab-tests-mlflow-{mlflow.__version__}.db"
    if not template.exists():
        draft = template.with_name(f"{template.name}.{os.getpid()}")
        engine = create_sqlalchemy_engine(f"sqlite:///{draft}")
        _initialize_tables(engine)
        engine.dispose()
        draft.replace(template)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(template, path)
    return f"sqlite:///{path}"
