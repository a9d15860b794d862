"""What a model predicted for a few rows when it was logged, so that a later environment can be compared."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.registry.mlflow_store import reaching

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_FILE = "example.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Rows of features, and what the pipeline predicted for them."""

    rows: list[dict[str, Any]]
    predicted: list[Any]


def keep(rows: "pd.DataFrame", predicted: "npt.NDArray[Any]") -> None:
    """Write an example to the open run."""
    import mlflow

    plain = rows.astype(object).where(rows.notna(), None)  # type: ignore[call-overload]  # stubs know no None
    mlflow.log_dict({"rows": plain.to_dict("records"), "predicted": predicted.tolist()}, _FILE)


def read(uri: str, run_id: str) -> Example | None:
    """Return the example of a run; None for a run that has none.

    Raises:
        StoreUnreachable: MLflow does not answer.
    """
    with reaching(uri) as mlflow, tempfile.TemporaryDirectory() as folder:
        client = mlflow.MlflowClient(uri)
        if _FILE not in {file.path for file in client.list_artifacts(run_id)}:
            return None
        path = client.download_artifacts(run_id, _FILE, folder)
        return Example(**json.loads(Path(path).read_text(encoding="utf-8")))
