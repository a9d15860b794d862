"""Where MLflow keeps what the other stores have an address for: its database, and its artifacts."""

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
        """Return where the artifacts of an experiment lie; through a server they lie below its destination."""
        if not location.startswith(PROXIED):
            return location.removeprefix("file://")
        return f"{self.artifacts.rstrip('/')}/{location.removeprefix(PROXIED).lstrip('/')}"


def mlflow_places(stores: Settings) -> MlflowPlaces:
    """Read the two addresses from the environment; the embedded server's when there is no other hint.

    Raises:
        Unfit: MLflow is a server elsewhere, and nothing says where its database is.
    """
    local = stores.home / "mlflow.db"
    known = stores.mlflow_backend_url
    if known is None and not stores.mlflow.startswith("http"):
        known = stores.mlflow
    if known is None and stores.mlflow.startswith(("http://127.0.0.1", "http://localhost")):
        known = f"sqlite:///{local}"
    if known is None:
        raise Unfit(
            f"MLflow is a server at {stores.mlflow}, and its database is not known here",
            "Set TRIMTAB_MLFLOW_BACKEND_URL to its --backend-store-uri, and TRIMTAB_MLFLOW_ARTIFACTS to its "
            "--artifacts-destination.",
        )
    return MlflowPlaces(database=known, artifacts=stores.mlflow_artifacts)
