"""The last good version in a file beside its model, from which the service starts while the stores are unavailable."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from trimtab import files
from trimtab.contracts import ModelVersion
from trimtab.params import Params
from trimtab.registry.load import load as load_pipeline
from trimtab.serve.holder import Ready, Serving
from trimtab.serve.scoring import scorer

log = logging.getLogger(__name__)

FILE = "last-good.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """A version that was loaded and checked, and the parameters that it was loaded with."""

    version: ModelVersion
    commit: str | None
    batches: Mapping[str, str]
    params: Params


_FORMAT = TypeAdapter(LastGood)
"""Not `contracts.to_json`: it sorts the features, and the model depends on their order."""


def write(models: Path, serving: Serving, params: Params) -> None:
    """Replace the file. If the disk refuses it, this is logged, and the version answers all the same."""
    state = LastGood(
        version=serving.champion, commit=serving.ready.commit, batches=serving.ready.batches, params=params
    )
    try:
        files.write(models / FILE, _FORMAT.dump_json(state, indent=2))
    except OSError:
        log.exception(
            "%s could not be written; without it the service cannot start while a store is unavailable",
            models / FILE,
        )


def read(models: Path) -> LastGood | None:
    """Return the content of the file, None without a file. A file that cannot be read is renamed."""
    path = models / FILE
    try:
        return _FORMAT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        corrupt = path.with_suffix(".corrupt")
        path.replace(corrupt)
        log.error("%s cannot be used and was moved to %s: %s", path, corrupt, error)
        return None


def load(models: Path, params: Params | None) -> tuple[Params, Serving] | None:
    """Return the last good version with its parameters, None if it cannot be loaded or is of another model.

    Args:
        models: The folder of the file and of the models.
        params: The current parameters, None if they are unavailable.
    """
    state = read(models)
    if state is None or (params is not None and params.model.name != state.params.model.name):
        return None
    version, trusted = state.version, state.params.model.trusted_types
    try:
        pipeline = load_pipeline(version.source, version.digest, trusted, cache=models)
        ready = Ready(scorer=scorer(pipeline, state.params), commit=state.commit, batches=state.batches)
    except Exception:  # the service can still wait for the stores
        log.exception("The last good version could not be loaded")
        return None
    return state.params, Serving(champion=version, ready=ready)
