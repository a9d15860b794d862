"""The only way to load a model, and its example: the digest comes from the ledger, the trusted types from `params.yaml`.

MLflow's own loader takes the list of trusted types from the artifact itself, so a forged artifact would vouch for itself.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab import files
from trimtab.errors import UnsafeModel
from trimtab.registry.mlflow_store import reaching

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODEL_FILE = "model.skops"
EXAMPLE_FILE = "example.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Rows of features, and what a pipeline predicted for them when it was logged, to compare another environment with."""

    rows: list[dict[str, Any]]
    predicted: list[Any]


def load(source: str, digest: str, trusted: Sequence[str], *, cache: Path) -> "Pipeline":
    """Load a pipeline whose bytes have the given digest and whose types are all trusted.

    Args:
        source: The logged model's URI, as the ledger has it.
        digest: Sha256 of its skops file, as the ledger has it.
        trusted: Types that may be loaded besides those that skops trusts itself.
        cache: Folder that keeps the file for the next time, by digest.

    Raises:
        UnsafeModel: The bytes are others, or hold a type that is not trusted.
        StoreUnreachable: MLflow does not answer.
    """
    from sklearn.pipeline import Pipeline
    from skops.io import get_untrusted_types
    from skops.io import load as skops_load
    from skops.io.exceptions import UntrustedTypesFoundException

    path = cache / digest / MODEL_FILE
    if not path.is_file():
        _download(source, path)
    actual = files.digest(path)
    if actual != digest:
        path.unlink()
        raise UnsafeModel(source, f"expected a file with the digest {digest} of the ledger, got {actual}")
    strange = [kind for kind in get_untrusted_types(file=path) if kind not in trusted]
    if strange:
        raise UnsafeModel(source, f"expected types of model.trusted_types only, got {', '.join(strange)} too")
    try:
        pipeline = skops_load(path, trusted=list(trusted))
    except (UntrustedTypesFoundException, TypeError) as error:
        raise UnsafeModel(source, f"skops refuses it: {error}") from error
    if not isinstance(pipeline, Pipeline):
        raise UnsafeModel(source, f"expected a scikit-learn pipeline, got {type(pipeline).__name__}")
    return pipeline


def megabytes(digest: str, *, cache: Path) -> float:
    """Return the size of a model's file that was loaded before."""
    return (cache / digest / MODEL_FILE).stat().st_size / 1e6


def read_example(uri: str, run_id: str) -> Example | None:
    """Return the example of a run; None for a run that has none.

    Raises:
        StoreUnreachable: MLflow does not answer.
    """
    with reaching(uri) as mlflow, tempfile.TemporaryDirectory() as folder:
        client = mlflow.MlflowClient(uri)
        if EXAMPLE_FILE not in {file.path for file in client.list_artifacts(run_id)}:
            return None
        path = client.download_artifacts(run_id, EXAMPLE_FILE, folder)
        return Example(**json.loads(Path(path).read_text(encoding="utf-8")))


def _download(source: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, reaching() as mlflow:
        try:
            artifact = Path(mlflow.artifacts.download_artifacts(source, dst_path=folder))
        except mlflow.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UnsafeModel(source, f"its artifact cannot be had ({error})") from error
        if not (artifact / MODEL_FILE).is_file():
            raise UnsafeModel(source, f"its artifact holds no {MODEL_FILE}")
        (artifact / MODEL_FILE).replace(path)
