"""The DAG files as Airflow reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "dags"


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All DAGs, parsed without a database; Airflow writes its settings to a folder that goes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        patch.setenv("TRIMTAB_MODEL", "demand")
        patch.syspath_prepend(str(FOLDER.parent / "plugins"))
        from airflow.dag_processing.dagbag import DagBag

        yield DagBag(str(FOLDER))


@pytest.fixture
def dags(bag: Any) -> dict[str, Any]:
    """The DAGs by id."""
    return bag.dags
