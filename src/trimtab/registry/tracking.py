"""What trimtab writes to MLflow runs, and how it starts a project's."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab import settings
from trimtab.contracts import DataDrift, plain
from trimtab.errors import CommandFailed
from trimtab.files import digest
from trimtab.redaction import redact
from trimtab.registry.load import EXAMPLE_FILE, MODEL_FILE
from trimtab.registry.mlflow_store import reaching

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

_NOT_IN_A_NAME = re.compile(r"[^\w./ -]", re.ASCII)
_LONGEST_NAME, _LONGEST_TAG = 250, 5000
_ENDS_WITH_STDIN = settings.Settings.variable("ends_with_stdin")


@contextmanager
def open_run(experiment: str, *, tags: Mapping[str, str], name: str | None = None) -> Iterator[str]:
    """Open a run; yields its id. Inside an MLflow Project it is the project's run."""
    with reaching() as mlflow:
        # Inside a project the run exists. `set_experiment` would leave its choice in the environment of this process.
        place = None if settings.read().mlflow_run_id else _experiment(experiment)
        with mlflow.start_run(run_name=name, tags=dict(tags), experiment_id=place) as run:
            yield run.info.run_id


@contextmanager
def nested_run(name: str, *, tags: Mapping[str, str]) -> Iterator[str]:
    """Open a run within the open one; yields its id."""
    with reaching() as mlflow, mlflow.start_run(run_name=name, nested=True, tags=dict(tags)) as run:
        yield run.info.run_id


def log(*, params: Mapping[str, object], metrics: Mapping[str, float], files: Sequence[Path] = ()) -> None:
    """Write figures and files to the open run."""
    import mlflow

    mlflow.log_params(dict(params))
    mlflow.log_metrics(dict(metrics))
    for path in files:
        mlflow.log_artifact(str(path))


def tag(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags on a run that ended; what MLflow allows in no name becomes `_`, and a long value is cut."""
    with reaching() as mlflow:
        client = mlflow.MlflowClient()
        for name, text in tags.items():
            client.set_tag(run_id, _NOT_IN_A_NAME.sub("_", name)[:_LONGEST_NAME], text[:_LONGEST_TAG])


def _requirements(pipeline: "Pipeline") -> list[str]:
    """Pin what it takes to load a pipeline: skops, pandas, and the packages that its steps' classes come from."""
    kinds = (kind for _, step in pipeline.steps for kind in type(step).__mro__)
    modules = {kind.__module__.partition(".")[0] for kind in kinds} - {"trimtab", *sys.stdlib_module_names}
    # Searching all installed packages takes a second.
    distributions = metadata.packages_distributions() if modules - {"sklearn"} else {}
    names = {name for module in modules for name in distributions.get(module, ())}
    return [
        f"{name}=={metadata.version(name)}" for name in sorted(names | {"pandas", "scikit-learn", "skops"})
    ]


def log_pipeline(pipeline: "Pipeline", example: "pd.DataFrame", trusted: Sequence[str]) -> tuple[str, str]:
    """Log a fitted pipeline as skops, with signature and input example; return its URI and its file's digest."""
    import mlflow
    from mlflow.models import infer_signature

    method = "predict_proba" if hasattr(pipeline, "predict_proba") else "predict"
    predicted = getattr(pipeline, method)(example)
    logged = mlflow.sklearn.log_model(
        pipeline,
        name="model",
        serialization_format="skops",
        skops_trusted_types=list(trusted),
        signature=infer_signature(example, predicted),
        input_example=example,
        pip_requirements=_requirements(pipeline),
        pyfunc_predict_fn=method,
    )
    rows = example.astype(object).where(example.notna(), None)  # type: ignore[call-overload]  # stubs know no None
    mlflow.log_dict({"rows": rows.to_dict("records"), "predicted": predicted.tolist()}, EXAMPLE_FILE)
    with tempfile.TemporaryDirectory() as folder:
        downloaded = Path(mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=folder))
        return str(logged.model_uri), digest(downloaded / MODEL_FILE)


def artifact(run_id: str, path: str, *, cache: Path) -> Path:
    """Fetch a file of a run, once."""
    path_in_cache = cache / run_id / path
    if not path_in_cache.is_file():
        path_in_cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path_in_cache.parent) as folder, reaching() as mlflow:
            mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=folder)
            Path(folder, path).replace(path_in_cache)
    return path_in_cache


def log_drift(
    *,
    model: str,
    batch: str,
    revision: int,
    champion: str,
    data: DataDrift,
    save_report: Callable[[str], object],
) -> str:
    """Write the drift of one batch and Evidently's page to a run of its own; return the run's id.

    `save_report` writes the page to a file.
    """
    with open_run(
        f"{model}-monitoring",
        tags={"trimtab.batch": batch, "trimtab.revision": str(revision), "trimtab.champion": champion},
        name=f"{batch}-r{revision}-v{champion}",
    ) as run_id:
        import mlflow

        mlflow.log_metrics(
            {
                "drift_share": data.share,
                **{f"drift_{column.column}": column.score for column in data.columns},
            }
        )
        mlflow.log_dict(plain(data), "drift.json")
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "data_drift.html"
            save_report(str(page))
            mlflow.log_artifact(str(page))
        return run_id


def project_run(checkout: Path, entry_point: str, *, env_manager: str, experiment: str, run_name: str) -> str:
    """Run one entry point of a checkout's MLflow Project and return the run's id.

    The child's output goes to `build/<entry point>.log` in the checkout.

    Raises:
        CommandFailed: The entry point ended with an error; its last lines are in the message.
        StoreUnreachable: MLflow does not answer.
    """
    output = checkout / "build" / f"{entry_point}.log"
    output.parent.mkdir(parents=True, exist_ok=True)
    # A project with env_manager local takes the `python` of the PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with reaching() as mlflow:
        try:
            with _child_streams(output):
                submitted = mlflow.projects.run(
                    str(checkout),
                    entry_point,
                    env_manager=env_manager,
                    experiment_name=experiment,
                    run_name=run_name,
                )
        except mlflow.exceptions.ExecutionException as error:
            printed = output.read_text(encoding="utf-8").strip()
            raise CommandFailed(["mlflow", "run", "-e", entry_point], 1, printed or str(error)) from error
        finally:
            print(redact(output.read_text(encoding="utf-8")), flush=True)
        return str(submitted.run_id)


@contextmanager
def _child_streams(output: Path) -> Iterator[None]:
    """Let child processes write to a file, and read from a pipe that ends when we do: MLflow gives them our descriptors.

    In an Airflow task standard input is a socket, by which bash takes itself for a remote shell and sources ~/.bashrc; with
    pyenv or conda in there, `python` is then another one.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    originals = [os.dup(descriptor) for descriptor in range(3)]
    read, write = os.pipe()
    os.environ[_ENDS_WITH_STDIN] = "true"
    with output.open("wb") as file:
        try:
            for descriptor, stream in enumerate((read, file.fileno(), file.fileno())):
                os.dup2(stream, descriptor)
            yield
        finally:
            del os.environ[_ENDS_WITH_STDIN]
            for descriptor, original in enumerate(originals):
                os.dup2(original, descriptor)
                os.close(original)
            os.close(read)
            os.close(write)


def _experiment(name: str) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException

    if experiment := mlflow.get_experiment_by_name(name):
        return str(experiment.experiment_id)
    try:
        return str(mlflow.create_experiment(name))
    except MlflowException:
        if experiment := mlflow.get_experiment_by_name(name):  # another process was quicker
            return str(experiment.experiment_id)
        raise
