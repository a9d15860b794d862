"""The MLflow registry as trimtab uses it: versions, stages, aliases, tags."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, cast

from trimtab.contracts import Stage
from trimtab.errors import StoreUnreachable
from trimtab.redaction import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

_QUICK_TO_FAIL = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""MLflow's own defaults go on for ten minutes against a server that is down; Airflow retries instead."""


def quiet() -> None:
    """Switch MLflow's telemetry off, and let an unreachable server fail in seconds; before MLflow is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    for name, value in _QUICK_TO_FAIL.items():
        os.environ.setdefault(name, value)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turn trouble with the connection into an error that says what to check.

    Raises:
        StoreUnreachable: MLflow or its database does not answer.
    """
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (requests.RequestException, OperationalError) as error:
        raise StoreUnreachable("MLflow", url, "MLFLOW_TRACKING_URI", type(error).__name__) from error
    except MlflowException as error:
        if "API request to" in str(error) or error.error_code == "TEMPORARILY_UNAVAILABLE":
            raise StoreUnreachable("MLflow", url, "MLFLOW_TRACKING_URI", redact(str(error))[:200]) from error
        raise


class Store:
    """The registry behind one tracking URI. Versions are text everywhere.

    Raises:
        StoreUnreachable: MLflow does not answer.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def _client(self) -> "MlflowClient":
        quiet()
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def register(self, model: str, run_id: str, source: str, tags: Mapping[str, str]) -> str:
        """Make a new version of the model; the registered model is made with the first."""
        from mlflow.exceptions import MlflowException

        with self._reaching():
            try:
                self._client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            model_id = source.removeprefix("models:/") if source.startswith("models:/m-") else None
            made = self._client.create_model_version(
                model, source=source, run_id=run_id, tags=dict(tags), model_id=model_id
            )
            return str(made.version)

    def find_by_tag(self, model: str, key: str, value: str) -> list[str]:
        """Return the versions that carry a tag, oldest first."""
        with self._reaching():
            tagged = self._client.search_model_versions(f"name = '{model}' and tag.`{key}` = '{value}'")
        return sorted((str(version.version) for version in tagged), key=int)

    def stages(self, model: str) -> dict[str, Stage]:
        """Return the stage of every version, oldest first."""
        with self._reaching():
            versions = self._client.search_model_versions(f"name = '{model}'", max_results=10_000)
        ordered = sorted(versions, key=lambda version: int(version.version))
        return {str(version.version): cast(Stage, version.current_stage) for version in ordered}

    def in_stage(self, model: str, stage: Stage) -> list[str]:
        """Return the versions in a stage, oldest first."""
        return [version for version, current in self.stages(model).items() if current == stage]

    def set_stage(self, model: str, version: str, stage: Stage, *, archive: bool) -> None:
        """Move a version to a stage; `archive` moves whatever is there to Archived, in the same transaction."""
        with self._reaching(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # stages are deprecated, and they are what we are asked for
            self._client.transition_model_version_stage(
                model, version, stage, archive_existing_versions=archive
            )

    def aliases(self, model: str) -> dict[str, str]:
        """Return the version that each alias names."""
        if not self.stages(model):
            return {}
        with self._reaching():
            aliases = self._client.get_registered_model(model).aliases
        return {alias: str(version) for alias, version in aliases.items()}

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Let an alias name a version, or nothing."""
        with self._reaching():
            if version is None:
                self._client.delete_registered_model_alias(model, alias)
            else:
                self._client.set_registered_model_alias(model, alias, version)

    def set_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Tag a version; no effect if it was deleted."""
        from mlflow.exceptions import MlflowException

        with self._reaching():
            try:
                self._client.set_model_version_tag(model, version, key, value)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Return the tags of a run."""
        with self._reaching():
            return dict(self._client.get_run(run_id).data.tags)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        quiet()
        with reaching(self.uri):
            yield
