"""The last version that answered, in a file beside its model: enough to start from while every store is away."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from trimtab.contracts import ModelVersion
from trimtab.params import Params
from trimtab.registry import load
from trimtab.serve.holder import Ready, Serving
from trimtab.serve.scoring import scorer

log = logging.getLogger(__name__)

FILE = "last-good.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """What `Serving` is made of, and the parameters that it was made with."""

    version: ModelVersion
    commit: str | None
    batches: Mapping[str, str]
    params: Params

    def serving(self, models: Path) -> Serving:
        """Load the model from this machine's disk.

        Raises:
            UnsafeModel: The file has another digest, or holds what is not trusted.
            StoreUnreachable: The file is gone, and MLflow does not answer.
        """
        version, trusted = self.version, self.params.model.trusted_types
        pipeline = load.load(version.source, version.digest, trusted, cache=models)
        ready = Ready(scorer=scorer(pipeline, self.params), commit=self.commit, batches=self.batches)
        return Serving(champion=version, ready=ready)


_FORMAT = TypeAdapter(
    LastGood
)  # not contracts.to_json: it sorts the features, whose order the model depends on


def write(models: Path, serving: Serving, params: Params) -> None:
    """Replace the file in one step. A disk that takes nothing is logged: the version answers all the same."""
    ready, draft = serving.ready, models / f".{FILE}"
    state = LastGood(version=serving.champion, commit=ready.commit, batches=ready.batches, params=params)
    try:
        models.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(_FORMAT.dump_json(state, indent=2))
        draft.replace(models / FILE)
    except OSError:
        log.exception(
            "%s could not be written; without it the service does not start while a store is away", draft
        )


def read(models: Path) -> LastGood | None:
    """Return the state, None when there is none. A file that cannot be read is set aside."""
    path = models / FILE
    try:
        return _FORMAT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        aside = path.with_suffix(".corrupt")
        path.replace(aside)
        log.error("%s cannot be used and was moved to %s: %s", path, aside, error)
        return None
