"""What `doctor` runs in a process of its own, which another scikit-learn may end: load versions, and let them answer.

Reads a list of `Wanted` as JSON from standard input; writes a line of JSON a version, as soon as it is known.
"""

import json
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from trimtab import params, settings
from trimtab.contracts import ModelVersion, from_json
from trimtab.errors import StoreUnreachable
from trimtab.registry.load import MODEL_FILE
from trimtab.registry.mlflow_store import Store
from trimtab.serve.preparing import preparer

_SAVED_WITH = "_sklearn_version"


def examine(versions: list[ModelVersion], wanted: params.Params) -> Iterator[dict[str, str]]:
    """Load each version as the service does; yield `version`, the scikit-learn that `saved` it, that `here`, and `error`."""
    registry = Store(settings.read().mlflow)
    registry.stages(wanted.model.name)  # leads MLflow to the registry
    with tempfile.TemporaryDirectory() as folder:
        prepare = preparer(registry, wanted, Path(folder))
        for version in versions:
            error = ""
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", InconsistentVersionWarning)  # `saved` says it
                    prepare(version)
            except StoreUnreachable:
                raise
            except Exception as fault:  # another scikit-learn fails in any way it likes
                error = f"{type(fault).__name__}: {fault}"
            path = Path(folder) / version.digest / MODEL_FILE
            yield {
                "version": version.version,
                "saved": saved_with(path),
                "here": sklearn.__version__,
                "error": error,
            }


def saved_with(path: Path) -> str:
    """Return the scikit-learn that a skops file was written with; nothing for a file that does not say."""
    if not path.is_file():
        return ""
    with zipfile.ZipFile(path) as content:
        return _find(json.loads(content.read("schema.json"))) or ""


def _find(part: Any) -> str | None:
    if isinstance(part, dict):
        if _SAVED_WITH in part:
            return str(json.loads(part[_SAVED_WITH]["content"]))
        part = list(part.values())
    if isinstance(part, list):
        return next((found for one in part if (found := _find(one))), None)
    return None


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    versions = from_json(list[ModelVersion], json.dumps(asked["versions"]))
    for told in examine(versions, params.parse(asked["params"])):
        print(json.dumps(told), flush=True)
