"""What trimtab reads from the environment; nothing else reads it.

`docs/reference/settings.md` is generated from the descriptions here.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from trimtab.errors import SettingsError

_MODEL: ContextVar[Mapping[str, Any]] = ContextVar("settings of one model", default=MappingProxyType({}))
_EMPTY_IS_WRONG = {"TRIMTAB_SERVICE_TOKENS"}
"""A secret that came out empty must not open the service to everybody."""

Address = Annotated[str, Field(repr=False)]
"""A URL that may hold a password."""
BaseUrl = Annotated[str, AfterValidator(lambda url: url.rstrip("/"))]
Folder = Annotated[Path, AfterValidator(Path.resolve)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _below_home(path: str, scheme: str = "") -> Callable[[dict[str, Any]], str]:
    return lambda values: f"{scheme}{values['home'] / path}"


class _Environment(BaseSettings):
    """Fields that environment variables set. An empty variable counts as unset.

    Raises:
        SettingsError: A value cannot be used.
    """

    model_config = SettingsConfigDict(
        case_sensitive=True, extra="ignore", frozen=True, hide_input_in_errors=True, populate_by_name=True
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            raise SettingsError(str(first["loc"][0]), first["msg"], first["input"]) from error

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value != "" or name in _EMPTY_IS_WRONG}

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the variable that sets a field."""
        return str(cls.model_fields[field].validation_alias)


class Settings(_Environment):
    """Addresses, folders and secrets. Every address has a default on this machine, below `home`."""

    model_config = SettingsConfigDict(alias_generator=lambda field: f"TRIMTAB_{field.upper()}")

    home: Folder = Field(
        default=Path("var"),
        validate_default=True,
        description="Folder for everything that trimtab keeps on this machine.",
    )
    origin: Address = Field(
        default_factory=_below_home("origin.git"),
        validation_alias="TRIMTAB_ORIGIN_URL",
        description="Git repository that holds code, parameters and the versions of the data.",
    )
    dvc_remote: Address = Field(
        default_factory=_below_home("dvc-remote"),
        validation_alias="TRIMTAB_DVC_REMOTE_URL",
        description="DVC remote that holds the data.",
    )
    mlflow: Address = Field(
        default_factory=_below_home("mlflow.db", "sqlite:///"),
        validation_alias="MLFLOW_TRACKING_URI",
        description="MLflow's tracking server or database.",
    )
    ledger: Address = Field(
        default_factory=_below_home("ledger.db", "sqlite:///"),
        validation_alias="TRIMTAB_LEDGER_URL",
        description="Ledger of decisions: SQLite or PostgreSQL.",
    )
    prediction_log: Address = Field(
        default_factory=_below_home("predictions.db", "sqlite:///"),
        validation_alias="TRIMTAB_PREDICTION_LOG_URL",
        description="Prediction log: SQLite, PostgreSQL or MongoDB.",
    )
    landing: Folder = Field(
        default_factory=_below_home("landing"),
        validate_default=True,
        description="Folder where new batches arrive.",
    )
    backups: Path | None = Field(
        default=None, description="Folder of the nightly backups. Unset, none are made."
    )
    mlflow_backend_url: Address | None = Field(
        default=None,
        description="Database of MLflow's server (its `--backend-store-uri`), for backup and restore.",
    )
    mlflow_artifacts: Address = Field(
        default_factory=_below_home("mlflow-artifacts"),
        description="Artifacts of MLflow's server (its `--artifacts-destination`), for backup and restore.",
    )

    model: str | None = Field(default=None, description="Name of the model. It names Airflow's assets.")
    models: Path | None = Field(
        default=None,
        description="Folder with a file NAME.env for each model, where one Airflow runs several models.",
    )
    training_pod_template: str | None = Field(
        default=None, description="Pod template of the tasks that train, with the KubernetesExecutor."
    )
    webhook_url: Address | None = Field(default=None, description="Webhook that receives notices as JSON.")

    airflow_url: BaseUrl | None = Field(
        default=None, description="Airflow's API server, for `doctor` and the demo."
    )
    service_url: BaseUrl | None = Field(
        default=None, description="The prediction service, for `doctor` and the demo."
    )
    prometheus_url: BaseUrl | None = Field(default=None, description="Prometheus, for `doctor`.")
    alertmanager_url: BaseUrl | None = Field(default=None, description="Alertmanager, for `doctor`.")
    mlflow_page: str | None = Field(
        default=None,
        description="Address of MLflow for a browser, where it differs from `MLFLOW_TRACKING_URI`.",
    )

    service_tokens: SecretStr | None = Field(
        default=None,
        description="Clients of the prediction service as JSON, with roles and digests of their tokens.",
    )
    service_tokens_file: Path | None = Field(
        default=None, description="File that holds what `TRIMTAB_SERVICE_TOKENS` would. It takes precedence."
    )
    alerts_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token that Prometheus and Alertmanager send to Airflow's API server.",
    )
    alerts_token_file: Path | None = Field(
        default=None, description="File that holds what `TRIMTAB_ALERTS_TOKEN` would. It takes precedence."
    )
    service_token_file: Path | None = Field(
        default=None, description="File with the demo's token for the prediction service."
    )
    airflow_passwords_file: Path | None = Field(
        default=None, description="JSON file with the passwords of Airflow's users by name, for the demo."
    )

    github_api_url: str | None = Field(
        default=None,
        validation_alias="GITHUB_API_URL",
        description="Set by GitHub Actions, as are the next five.",
    )
    github_event_path: Path | None = Field(
        default=None,
        validation_alias="GITHUB_EVENT_PATH",
        description="File that describes the event of the job.",
    )
    github_repository: str = Field(
        default="", validation_alias="GITHUB_REPOSITORY", description="Owner and name of the repository."
    )
    github_run_id: str = Field(
        default="", validation_alias="GITHUB_RUN_ID", description="Number of the job's run."
    )
    github_server_url: str = Field(
        default="", validation_alias="GITHUB_SERVER_URL", description="Address of GitHub for a browser."
    )
    github_token: SecretStr | None = Field(
        default=None, validation_alias="GITHUB_TOKEN", description="Token that may comment on pull requests."
    )
    comment_author: str = Field(
        default="github-actions[bot]", description="Login under which the pull request's comment is written."
    )

    now: AwareDatetime | None = Field(
        default=None,
        description="Time at which the system clock stands still, for a replay. ISO 8601 with an offset.",
    )
    preload: bool = Field(
        default=False, description="Import what tasks need. Set for the scheduler by `trimtab up`."
    )
    ends_with_stdin: bool = Field(
        default=False, description="Exit when standard input ends. Set for children of a retraining run."
    )
    mlflow_run_id: str | None = Field(
        default=None,
        validation_alias="MLFLOW_RUN_ID",
        description="Set by MLflow for the children of its projects.",
    )
    airflow_timezone: str = Field(
        default="utc",
        validation_alias="AIRFLOW__CORE__DEFAULT_TIMEZONE",
        description="Airflow's time zone, which `doctor` checks.",
    )
    airflow_simple_passwords_file: Path | None = Field(
        default=None,
        validation_alias="AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
        description="Airflow's file of passwords, whose permissions `doctor` checks.",
    )
    dvc_global_config_dir: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default=Path("~/.config/dvc"),
        validate_default=True,
        validation_alias="DVC_GLOBAL_CONFIG_DIR",
        description="Folder of DVC's global configuration, whose permissions `doctor` checks.",
    )

    def require(self, field: str) -> Any:
        """Return an optional setting that is needed now.

        Raises:
            SettingsError: It is unset.
        """
        value = getattr(self, field)
        if not value:
            raise SettingsError(self.variable(field), "Input is needed", None)
        return value

    @property
    def quarantine(self) -> Path:
        """Folder of refused data, with the original files."""
        return self.home / "quarantine"

    @property
    def dvc_cache(self) -> Path:
        """Folder of data that all checkouts share."""
        return self.home / "dvc-cache"

    @property
    def spool(self) -> Path:
        """Folder of predictions that are not in the prediction log yet."""
        return self.home / "spool"

    @property
    def work(self) -> Path:
        """Folder of the checkouts, one for each run."""
        return self.home / "work"


class Ports(_Environment):
    """Loopback ports of the servers that `trimtab up` starts. Tasks report to a server apart from Airflow's pages.

    They are apart from `Settings`: Kubernetes sets variables such as `TRIMTAB_SERVICE_PORT=tcp://…` in every pod beside a
    Service `trimtab-service`, and that must stop nothing.
    """

    model_config = SettingsConfigDict(alias_generator=lambda field: f"TRIMTAB_{field.upper()}_PORT")

    airflow: Port = Field(default=8080, description="Airflow's pages and API.")
    tasks: Port = Field(default=8081, description="API that Airflow's tasks report to.")
    mlflow: Port = Field(default=5000, description="MLflow.")
    service: Port = Field(default=8000, description="The prediction service.")


def read() -> Settings:
    """Read the environment, and over it the settings of the model that `for_model` has set."""
    return Settings(**_MODEL.get())


@contextmanager
def for_model(values: Mapping[str, str]) -> Iterator[None]:
    """Read the settings of one model over the environment, in this thread only, by name of their variables."""
    token = _MODEL.set(values)
    try:
        yield
    finally:
        _MODEL.reset(token)


def pinned_time() -> datetime | None:
    """Return the time at which the clock stands still; the service asks several times a request, so this is quick."""
    return read().now if "TRIMTAB_NOW" in os.environ else None
