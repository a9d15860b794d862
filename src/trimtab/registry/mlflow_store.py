"""The MLflow registry as trimtab uses it: versions, stages, aliases, tags."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from trimtab.contracts import Stage
from trimtab.errors import SettingsError, StoreUnreachable
from trimtab.redaction import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

_WITHOUT_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_QUICK_TO_FAIL = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""MLflow's own defaults go on for ten minutes against a server that is down; Airflow retries instead."""


@contextmanager
def reaching(uri: str | None = None) -> Iterator[Any]:
    """Import MLflow without its telemetry, yield it, and turn trouble with the connection into an error that helps.

    Args:
        uri: Where MLflow is, for the error; by default where the environment says.

    Raises:
        SettingsError: MLflow is a database here, and what is asked for lies behind the server.
        StoreUnreachable: MLflow or its database does not answer.
    """
    os.environ |= _WITHOUT_TELEMETRY
    for name, value in _QUICK_TO_FAIL.items():
        os.environ.setdefault(name, value)
    import mlflow
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    url = uri or mlflow.get_tracking_uri()
    try:
        yield mlflow
    except (requests.RequestException, OperationalError) as error:
        raise StoreUnreachable("MLflow", url, "MLFLOW_TRACKING_URI", type(error).__name__) from error
    except MlflowException as error:
        if "API request to" in str(error) or error.error_code == "TEMPORARILY_UNAVAILABLE":
            raise StoreUnreachable("MLflow", url, "MLFLOW_TRACKING_URI", redact(str(error))[:200]) from error
        if "mlflow-artifacts URI" in str(error):
            expected = "expected the URL of the server that keeps the models, such as http://127.0.0.1:5000 after `make up`"
            raise SettingsError("MLFLOW_TRACKING_URI", expected, url) from error
        raise


class Store:
    """The registry behind one tracking URI. Versions are text everywhere.

    Raises:
        StoreUnreachable: MLflow does not answer.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @contextmanager
    def _client(self) -> Iterator["MlflowClient"]:
        with reaching(self.uri) as mlflow:
            yield mlflow.MlflowClient(self.uri)

    def register(self, model: str, run_id: str, source: str, tags: Mapping[str, str]) -> str:
        """Make a new version of the model; the registered model is made with the first."""
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                client.create_registered_model(model)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            model_id = source.removeprefix("models:/") if source.startswith("models:/m-") else None
            return str(
                client.create_model_version(
                    model, source=source, run_id=run_id, tags=dict(tags), model_id=model_id
                ).version
            )

    def find_by_tag(self, model: str, key: str, value: str) -> list[str]:
        """Return the versions that carry a tag, oldest first."""
        with self._client() as client:
            tagged = client.search_model_versions(f"name = '{model}' and tag.`{key}` = '{value}'")
        return sorted((str(version.version) for version in tagged), key=int)

    def stages(self, model: str) -> dict[str, Stage]:
        """Return the stage of every version, oldest first."""
        with self._client() as client:
            versions = client.search_model_versions(f"name = '{model}'", max_results=10_000)
        return {
            str(version.version): cast(Stage, version.current_stage)
            for version in sorted(versions, key=lambda version: int(version.version))
        }

    def in_stage(self, model: str, stage: Stage) -> list[str]:
        """Return the versions in a stage, oldest first."""
        return [version for version, current in self.stages(model).items() if current == stage]

    def set_stage(self, model: str, version: str, stage: Stage, *, archive: bool) -> None:
        """Move a version to a stage; `archive` moves whatever is there to Archived, in the same transaction."""
        # Stages are deprecated, and they are what we are asked for.
        with self._client() as client, warnings.catch_warnings(action="ignore", category=FutureWarning):
            client.transition_model_version_stage(model, version, stage, archive_existing_versions=archive)

    def aliases(self, model: str) -> dict[str, str]:
        """Return the version that each alias names."""
        if not self.stages(model):
            return {}
        with self._client() as client:
            aliases = client.get_registered_model(model).aliases
        return {alias: str(version) for alias, version in aliases.items()}

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Let an alias name a version, or nothing."""
        with self._client() as client:
            if version is None:
                client.delete_registered_model_alias(model, alias)
            else:
                client.set_registered_model_alias(model, alias, version)

    def set_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Tag a version; no effect if it was deleted."""
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                client.set_model_version_tag(model, version, key, value)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def run_tags(self, run_id: str) -> dict[str, str]:
        """Return the tags of a run."""
        with self._client() as client:
            return dict(client.get_run(run_id).data.tags)
