"""Prepares a version for serving: load it by its digest, try it, compare its answers with those of its example."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trimtab.contracts import ModelVersion
from trimtab.errors import UnsafeModel
from trimtab.params import Params
from trimtab.registry import load
from trimtab.registry.mlflow_store import Store
from trimtab.serve.holder import Ready
from trimtab.serve.scoring import scorer
from trimtab.train.fit import shape_predictions

log = logging.getLogger(__name__)

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""The answers of the example may come from another kind of processor."""
_BATCH = "trimtab.batch."


def preparer(registry: Store, params: Params, cache: Path) -> Callable[[ModelVersion], Ready]:
    """Return a function that prepares a version.

    It raises UnsafeModel if the file has another digest than the ledger says, holds a type that is not trusted, or does
    not reproduce the answers that were logged with its example; StoreUnreachable if MLflow does not answer.
    """

    def prepare(version: ModelVersion) -> Ready:
        pipeline = load.load(version.source, version.digest, params.model.trusted_types, cache=cache)
        ready = scorer(pipeline, params)
        example = load.read_example(registry.uri, version.run_id)
        if example is None:
            log.warning(
                "Version %s was logged without an example, so its answers are not compared", version.version
            )
        else:
            answers, label = ready.answers(example.rows), params.data.label
            expected = shape_predictions(pipeline, label, example.predicted)
            if answers.shape != expected.shape or not np.allclose(answers, expected, _RELATIVE, _ABSOLUTE):
                raise UnsafeModel(
                    version.source,
                    "expected the answers to its example that were logged when it was trained, got others",
                )
        tags = registry.run_tags(version.run_id)
        batches = {name.removeprefix(_BATCH): text for name, text in tags.items() if name.startswith(_BATCH)}
        return Ready(scorer=ready, commit=tags.get("trimtab.commit"), batches=batches)

    return prepare
