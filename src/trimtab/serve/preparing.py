"""A version on its way to answer: loaded by its digest, compared with its example, tried."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trimtab import params
from trimtab.contracts import ModelVersion
from trimtab.errors import UnsafeModel
from trimtab.registry import examples, load
from trimtab.registry.mlflow_store import Store
from trimtab.serve.holder import Ready
from trimtab.serve.scoring import scorer
from trimtab.train.fit import shape_predictions

log = logging.getLogger(__name__)

_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""The example may have been answered on another kind of processor."""
_BATCH = "trimtab.batch."


def preparer(registry: Store, wanted: params.Params, cache: Path) -> Callable[[ModelVersion], Ready]:
    """Return how the service makes a version ready.

    It raises UnsafeModel when the file is another than the ledger says, holds what is not trusted, or answers the
    example that was logged with it differently; StoreUnreachable when MLflow does not answer.
    """

    def prepare(version: ModelVersion) -> Ready:
        pipeline = load.load(version.source, version.digest, wanted.model.trusted_types, cache=cache)
        ready = scorer(pipeline, wanted)
        example = examples.read(registry.uri, version.run_id)
        if example is None:
            log.warning(
                "Version %s was logged without answers to its example; they are not compared", version.version
            )
        else:
            found, label = ready.answers(example.rows), wanted.data.label
            expected = shape_predictions(pipeline, label, example.predicted)
            if found.shape != expected.shape or not np.allclose(found, expected, _RELATIVE, _ABSOLUTE):
                raise UnsafeModel(
                    version.source,
                    "expected the answers to its example that were logged when it was trained, got others",
                )
        tags = registry.run_tags(version.run_id)
        batches = {name.removeprefix(_BATCH): text for name, text in tags.items() if name.startswith(_BATCH)}
        return Ready(scorer=ready, commit=tags.get("trimtab.commit"), batches=batches)

    return prepare
