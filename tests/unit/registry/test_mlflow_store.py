"""What goes wrong between trimtab and MLflow is said in one sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.builders import MONDAY
from tests.support.mlflow_template import empty_mlflow
from trimtab.contracts import Training
from trimtab.errors import SettingsError
from trimtab.registry import load, tracking, training_record


@pytest.mark.parametrize(
    "read",
    [
        lambda training, folder: training_record.read(training),
        lambda training, folder: load.load(training.source, training.digest, [], cache=folder),
        lambda training, folder: tracking.artifact(training.run_id, "reference.parquet", cache=folder),
    ],
    ids=["reproduce", "rollback", "observe"],
)
def test_a_model_that_the_server_keeps_cannot_be_read_from_its_database(
    read: Callable[[Training, Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = empty_mlflow(tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    run_id = client.create_run(client.create_experiment("demand", "mlflow-artifacts:/1")).info.run_id
    training = Training(
        run_id=run_id,
        source=f"runs:/{run_id}/model",
        digest="ab",
        trained_through=MONDAY,
        rows=1,
        batches=(),
        seconds=1.0,
    )
    with pytest.raises(SettingsError) as caught:
        read(training, tmp_path)
    assert str(caught.value) == (
        "MLFLOW_TRACKING_URI: expected the URL of the server that keeps the models, such as http://127.0.0.1:5000 "
        f"after `make up`, got {uri!r}. See docs/reference/settings.md."
    )
