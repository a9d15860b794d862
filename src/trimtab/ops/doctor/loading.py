"""Load versions and let them predict, in a process of its own, because another scikit-learn may crash it.

Reads versions and parameters as JSON from standard input; writes a line of JSON per version, as soon as it is done.
"""

import json
import re
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import sklearn
from sklearn.exceptions import InconsistentVersionWarning

from trimtab import params, settings
from trimtab.contracts import ModelVersion, from_plain
from trimtab.errors import StoreUnreachable
from trimtab.origin.origin import Origin
from trimtab.registry.load import MODEL_FILE
from trimtab.registry.mlflow_store import Store
from trimtab.serve.preparing import preparer

_SAVED_WITH = re.compile(r'"_sklearn_version":\s*\{[^}]*"content":\s*"\\"([^"\\]+)')


def examine(versions: list[ModelVersion], parameters: params.Params) -> Iterator[dict[str, str]]:
    """Load each version as the service does.

    Yields:
        `version`, the scikit-learn that `saved` it, the one installed `here`, and `error`.
    """
    where = settings.read()
    registry = Store(where.mlflow)
    registry.stages(parameters.model.name)  # makes MLflow use this registry
    with tempfile.TemporaryDirectory() as folder:
        prepare = preparer(registry, Origin(where), parameters, Path(folder))
        for version in versions:
            error = ""
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", InconsistentVersionWarning)  # `saved` says it
                    prepare(version)
            except StoreUnreachable:
                raise
            except Exception as failure:  # another scikit-learn raises errors of any kind
                error = f"{type(failure).__name__}: {failure}"
            path = Path(folder) / version.digest / MODEL_FILE
            yield {
                "version": version.version,
                "saved": saved_with(path),
                "here": sklearn.__version__,
                "error": error,
            }


def saved_with(path: Path) -> str:
    """Return the scikit-learn that wrote a skops file; empty if the file does not say."""
    if not path.is_file():
        return ""
    with zipfile.ZipFile(path) as content:
        saved = _SAVED_WITH.search(content.read("schema.json").decode())
    return saved[1] if saved else ""


if __name__ == "__main__":
    task = json.load(sys.stdin)
    for result in examine(from_plain(list[ModelVersion], task["versions"]), params.parse(task["params"])):
        print(json.dumps(result), flush=True)
