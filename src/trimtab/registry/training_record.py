"""What MLflow recorded of the training of a model."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from trimtab.contracts import Training
from trimtab.errors import Unfit
from trimtab.registry.mlflow_store import reaching

_BATCH_TAG = "trimtab.batch."
_GONE = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Commit and `run.yaml` of a training; its parameters, its batches and the versions of its libraries, by name."""

    commit: str
    run_yaml: str
    parameters: dict[str, str]
    batches: dict[str, str]
    libraries: dict[str, str]


def read(training: Training) -> TrainingRecord:
    """Read the MLflow run of a training, and the requirements of its model.

    Raises:
        Unfit: MLflow does not have the run, or one of its files, any more.
        StoreUnreachable: MLflow does not answer.
    """
    with reaching() as mlflow, tempfile.TemporaryDirectory() as folder:
        try:
            run = mlflow.MlflowClient().get_run(training.run_id)
            run_yaml = mlflow.artifacts.load_text(f"runs:/{training.run_id}/run.yaml")
            model = Path(mlflow.artifacts.download_artifacts(training.source, dst_path=folder))
            requirements = (model / "requirements.txt").read_text(encoding="utf-8")
            environment = (model / "python_env.yaml").read_text(encoding="utf-8")
        except (FileNotFoundError, mlflow.exceptions.MlflowException) as error:
            if getattr(error, "error_code", _GONE) != _GONE:
                raise
            fault = f"Expected MLflow to have run {training.run_id} with run.yaml and its model, got: {error}"
            raise Unfit(fault, "Restore them from a backup, or choose a version that MLflow has.") from error
    tags = run.data.tags
    pins = (line.partition("==") for line in requirements.splitlines())
    return TrainingRecord(
        commit=tags.get("trimtab.commit", ""),
        run_yaml=run_yaml,
        parameters=run.data.params,
        batches={
            name.removeprefix(_BATCH_TAG): text for name, text in tags.items() if name.startswith(_BATCH_TAG)
        },
        libraries={name: version for name, _, version in pins}
        | {"python": str(yaml.safe_load(environment)["python"])},
    )
