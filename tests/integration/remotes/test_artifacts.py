"""MLflow's artifacts on object stores: a model that was logged there is loaded from there by its digest."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from tests.integration.remotes.servers import Remote, azure, s3
from tests.support.mlflow_template import empty_mlflow
from trimtab.registry import load, tracking

Settings = Callable[[Mapping[str, str]], dict[str, str]]


def of_s3(settings: Mapping[str, str]) -> dict[str, str]:
    return {
        "MLFLOW_S3_ENDPOINT_URL": settings["endpointurl"],
        "AWS_DEFAULT_REGION": settings["region"],
        "AWS_ACCESS_KEY_ID": settings["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": settings["secret_access_key"],
    }


def of_azure(settings: Mapping[str, str]) -> dict[str, str]:
    return {"AZURE_STORAGE_CONNECTION_STRING": settings["connection_string"]}


@pytest.mark.parametrize(
    "server, settings, url",
    [
        (s3, of_s3, "s3://data/mlflow"),
        (azure, of_azure, "wasbs://data@trimtab.blob.core.windows.net/mlflow"),
    ],
    ids=["s3", "azure"],
)
def test_a_model_that_was_logged_there_is_loaded_from_there(
    server: Callable[[Path], AbstractContextManager[Remote]],
    settings: Settings,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty_mlflow(tmp_path / "mlflow.db"))
    rows = pd.DataFrame({"x": np.arange(20.0)})
    pipeline = Pipeline([("estimator", LogisticRegression())]).fit(rows, rows["x"] > 9)
    (tmp_path / "server").mkdir()
    with server(tmp_path / "server") as remote:
        for name, value in settings(remote.right).items():
            monkeypatch.setenv(name, value)
        place = mlflow.create_experiment("there", artifact_location=url)
        with mlflow.start_run(experiment_id=place):
            source, digest = tracking.log_pipeline(pipeline, rows.head(), [])
        assert mlflow.get_logged_model(source.removeprefix("models:/")).artifact_location.startswith(url)
        loaded = load.load(source, digest, [], cache=tmp_path / "models")
    assert loaded.predict_proba(rows).tolist() == pipeline.predict_proba(rows).tolist()
