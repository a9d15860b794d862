"""Where MLflow has its database and its artifacts, which a client of its server does not see."""

from dataclasses import dataclass

from trimtab.errors import Unfit
from trimtab.settings import Settings

PROXIED = "mlflow-artifacts:"


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowPlaces:
    """MLflow's database, and the folder or URL that its server was given as `--artifacts-destination`."""

    database: str
    artifacts: str

    def artifacts_at(self, location: str) -> str:
        """Return the path or URL of an experiment's artifacts; a server has those that it serves below its destination."""
        if not location.startswith(PROXIED):
            return location.removeprefix("file://")
        return f"{self.artifacts.rstrip('/')}/{location.removeprefix(PROXIED).lstrip('/')}"


def mlflow_places(stores: Settings) -> MlflowPlaces:
    """Read the two addresses from the environment; the default is the embedded server's.

    Raises:
        Unfit: MLflow is a server on another machine, and the environment does not name its database.
    """
    database = stores.mlflow_backend_url
    if database is None and not stores.mlflow.startswith("http"):
        database = stores.mlflow
    if database is None and stores.mlflow.startswith(("http://127.0.0.1", "http://localhost")):
        database = f"sqlite:///{stores.home / 'mlflow.db'}"
    if database is None:
        raise Unfit(
            f"MLflow is a server at {stores.mlflow}, and its database is unknown",
            "Set TRIMTAB_MLFLOW_BACKEND_URL to its --backend-store-uri, and TRIMTAB_MLFLOW_ARTIFACTS to its "
            "--artifacts-destination.",
        )
    return MlflowPlaces(database=database, artifacts=stores.mlflow_artifacts)
