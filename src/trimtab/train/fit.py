"""Fit the pipeline that `params.yaml` names, and learn how well a fresh one does on a batch it has not seen."""

import inspect
from collections.abc import Mapping
from importlib import import_module

import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from trimtab import params
from trimtab.errors import ParamsError
from trimtab.train.features import design, encoder

_MIN_HISTORY = 2
"""Batches that a fresh model of the reference must at least have been fitted on."""


def build(wanted: params.Params) -> Pipeline:
    """Return the unfitted pipeline: encoder, then the estimator of `model.estimator`.

    Raises:
        ParamsError: The estimator cannot be imported, has no `predict_proba`, or refuses a setting.
    """
    kind = _import("model.estimator", wanted.model.estimator)
    accepted = inspect.signature(kind).parameters
    settings = dict(wanted.model.settings)
    if "random_state" in accepted:
        settings.setdefault("random_state", wanted.model.seed)
    if "categorical_features" in accepted:
        settings.setdefault("categorical_features", list(range(len(wanted.data.categories))))
    try:
        estimator = kind(**settings)
    except TypeError as error:
        raise ParamsError(params.FILE, "model.settings", f"{error}", wanted.model.settings) from error
    return Pipeline([("encode", encoder(wanted.data)), ("estimator", estimator)])


def baseline(wanted: params.Params) -> Pipeline:
    """Return the unfitted pipeline of `gate.baseline`, which plays champion while there is none."""
    return Pipeline(
        [("encode", encoder(wanted.data)), ("estimator", _import("gate.baseline", wanted.gate.baseline)())]
    )


def fit(pipeline: Pipeline, wanted: params.Params, frame: pd.DataFrame) -> Pipeline:
    """Fit a pipeline on labelled rows; the same rows and seed give equal predictions to the bit.

    Raises:
        ParamsError: The estimator refuses the settings, or the missing values that the contract allows.
    """
    try:
        return pipeline.fit(design(frame, wanted.data), frame["label"].astype("int64"))
    except ValueError as error:
        expected = f"should be an estimator and settings that can be fitted on these features ({error})"
        raise ParamsError(params.FILE, "model", expected, wanted.model.estimator) from error


def probabilities(pipeline: Pipeline, wanted: params.Params, frame: pd.DataFrame) -> list[float]:
    """Return the probability of label 1 for each row, shape `(n,)`."""
    if frame.empty:
        return []
    answer: list[float] = pipeline.predict_proba(design(frame, wanted.data))[:, -1].tolist()
    return answer


def fresh_probabilities(wanted: params.Params, frames: Mapping[str, pd.DataFrame]) -> dict[str, list[float]]:
    """Predict each of the newest batches with a model that was fitted on the batches before it.

    Forward chaining, so each batch is scored by a model that is as fresh as it can be and has not seen it: how hard the
    batches are, with their batch-to-batch variation, and without the optimism of a score on training rows.

    Args:
        wanted: `train.reference_batches` says how many batches are scored.
        frames: Labelled rows by batch, oldest first.

    Returns:
        Probabilities by batch, for the newest batches that have at least two batches before them.
    """
    names = list(frames)
    answers = {}
    for place in range(max(_MIN_HISTORY, len(names) - wanted.train.reference_batches), len(names)):
        history = pd.concat([frames[name] for name in names[:place]], ignore_index=True)
        fresh = fit(build(wanted), wanted, history)
        answers[names[place]] = probabilities(fresh, wanted, frames[names[place]])
    return answers


def _import(key: str, path: str) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ParamsError(
            params.FILE, key, "should be the import path of a scikit-learn classifier", path
        ) from error
    if not hasattr(kind, "predict_proba"):
        raise ParamsError(params.FILE, key, "should be a classifier with predict_proba", path)
    return kind  # type: ignore[no-any-return]  # what an import path names is known only now
