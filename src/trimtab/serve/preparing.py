"""Prepares a version for serving: load it by its digest, try it, compare its answers with those of its example.

The last good version is remembered in a file beside its model, from which the service starts while stores are unavailable.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from trimtab import files
from trimtab.contracts import ModelVersion
from trimtab.data.recipes import why_unreadable, with_recipe
from trimtab.errors import CommandFailed, ParamsError, StoreUnreachable, UnsafeModel
from trimtab.origin.origin import Origin
from trimtab.params import Params
from trimtab.registry import load
from trimtab.registry.mlflow_store import Store
from trimtab.serve.holder import Serving
from trimtab.serve.scoring import scorer
from trimtab.train.fit import shape_predictions

log = logging.getLogger(__name__)

LAST_GOOD = "last-good.json"
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""The answers of the example may come from another kind of processor."""
_BATCH = "trimtab.batch."


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """A version that was loaded and checked, and the parameters that it was loaded with."""

    version: ModelVersion
    commit: str | None
    batches: Mapping[str, str]
    params: Params


_FORMAT = TypeAdapter(LastGood)
"""Not `contracts.to_json`: it sorts the features, and the model depends on their order."""


def preparer(
    registry: Store, origin: Origin, params: Params, models: Path, *, remembers: bool = False
) -> Callable[[ModelVersion], Serving]:
    """Return a function that prepares a version, and with `remembers` makes it the last good one.

    A version is used with its own recipe and the data contract of the commit that trained it. All other parameters are those
    of `params`.

    The function raises UnsafeModel if the file has another digest than the ledger says, holds a type that is not trusted, or
    does not reproduce the answers that were logged with its example; StoreUnreachable if MLflow does not answer, or if the
    origin does not and `params` do not declare all features of the recipe.
    """

    def prepare(version: ModelVersion) -> Serving:
        tags = registry.run_tags(version.run_id)
        own = _own_params(version, tags.get("trimtab.commit"), origin, params)
        pipeline = load.load(version.source, version.digest, own.model.trusted_types, cache=models)
        ready = scorer(pipeline, own)
        example = load.read_example(registry.uri, version.run_id)
        if example is None:
            log.warning(
                "Version %s was logged without an example, so its answers are not compared", version.version
            )
        else:
            answers = ready.answers(example.rows)
            expected = shape_predictions(pipeline, own.data.label, example.predicted)
            if answers.shape != expected.shape or not np.allclose(answers, expected, _RELATIVE, _ABSOLUTE):
                raise UnsafeModel(
                    version.source,
                    "expected the answers to its example that were logged when it was trained, got others",
                )
        serving = Serving(
            version=version,
            scorer=ready,
            params=own,
            commit=tags.get("trimtab.commit"),
            batches={name.removeprefix(_BATCH): tags[name] for name in tags if name.startswith(_BATCH)},
        )
        if remembers:
            remember(models, serving)
        return serving

    return prepare


def _own_params(version: ModelVersion, commit: str | None, origin: Origin, params: Params) -> Params:
    """Return the parameters to use a version with: the data contract is that of its commit, all others are the service's.

    The service's data contract does if the commit cannot be read.
    """
    data = params.data
    try:
        data = origin.params(commit).data if commit else data
    except (StoreUnreachable, CommandFailed, ParamsError):
        if why_unreadable(version.recipe, params.data):
            raise
        log.warning("Version %s is used with the service's data contract", version.version, exc_info=True)
    return with_recipe(params.model_copy(update={"data": data}), version.recipe)


def remember(models: Path, serving: Serving) -> None:
    """Replace the last good version. If the disk refuses it, this is logged, and the version answers all the same."""
    state = LastGood(
        version=serving.version, commit=serving.commit, batches=serving.batches, params=serving.params
    )
    try:
        files.write(models / LAST_GOOD, _FORMAT.dump_json(state, indent=2))
    except OSError:
        log.exception(
            "%s could not be written; without it the service cannot start while a store is unavailable",
            models / LAST_GOOD,
        )


def last_good(models: Path, params: Params | None) -> tuple[Params, Serving] | None:
    """Return the last good version with its parameters, None if it cannot be loaded or is of another model.

    Args:
        models: The folder of the models. A file of the last good version that cannot be read is renamed.
        params: The current parameters, None if they are unavailable.
    """
    state = _read(models / LAST_GOOD)
    if state is None or (params is not None and params.model.name != state.params.model.name):
        return None
    version, trusted = state.version, state.params.model.trusted_types
    try:
        ready = scorer(load.load(version.source, version.digest, trusted, cache=models), state.params)
    except Exception:  # the service can still wait for the stores
        log.exception("The last good version could not be loaded")
        return None
    return state.params, Serving(
        version=version, scorer=ready, params=state.params, commit=state.commit, batches=state.batches
    )


def _read(path: Path) -> LastGood | None:
    try:
        return _FORMAT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        corrupt = path.replace(path.with_suffix(".corrupt"))
        log.error("%s cannot be used and was moved to %s: %s", path, corrupt, error)
        return None
