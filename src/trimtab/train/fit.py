"""Fit the pipeline that `params.yaml` names, and learn how well a fresh one does on a batch it has not seen."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from trimtab import params
from trimtab.errors import OneClass, ParamsError
from trimtab.train.features import design, encoder, targets

Floats = npt.NDArray[np.float64]

_MIN_HISTORY = 2
"""Batches that a fresh model of the reference must at least have been fitted on."""


def build(wanted: params.Params) -> Pipeline:
    """Return the unfitted pipeline: encoder, then the estimator of `model.estimator`.

    Raises:
        ParamsError: The estimator cannot be imported, does not answer what `data.label` needs, or refuses a setting.
    """
    kind = _import("model.estimator", wanted.model.estimator, wanted.data.label)
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
    kind = _import("gate.baseline", wanted.gate.baseline, wanted.data.label)
    return Pipeline([("encode", encoder(wanted.data)), ("estimator", kind())])


def fit(pipeline: Pipeline, wanted: params.Params, frame: pd.DataFrame) -> Pipeline:
    """Fit a pipeline on labelled rows; the same rows and seed give equal predictions to the bit.

    Raises:
        ParamsError: The estimator refuses the settings, or the missing values that the contract allows.
        OneClass: The labels are all of one class, from which nothing can be learnt.
    """
    truths = targets(frame, wanted.data)
    if not isinstance(wanted.data.label, params.Regression) and len(np.unique(truths)) < 2:
        raise OneClass(len(frame), frame["label"].head(1).tolist())
    try:
        return pipeline.fit(design(frame, wanted.data), truths)
    except ValueError as error:
        expected = f"should be an estimator and settings that can be fitted on these features ({error})"
        raise ParamsError(params.FILE, "model", expected, wanted.model.estimator) from error


def answers(pipeline: Pipeline, wanted: params.Params, frame: pd.DataFrame) -> Floats:
    """Return what a fitted pipeline answers for each row.

    Returns:
        Shape `(n,)` for a binary label (the probability of 1) and for a regression (the value); `(n, k)` for a
        multiclass label, a probability for each declared class in their order. A class that training lacked has 0.

    Raises:
        ParamsError: The pipeline was fitted for labels of another kind.
    """
    label = wanted.data.label
    if isinstance(label, params.Regression) == hasattr(pipeline, "predict_proba"):
        got = "a classifier" if hasattr(pipeline, "predict_proba") else "a regressor"
        expected = f"should be the kind that the model was trained for (its {label.kind} does not fit)"
        raise ParamsError(params.FILE, "data.label.kind", expected, got)
    if not len(frame):
        return np.zeros((0, len(label.classes)) if isinstance(label, params.Multiclass) else 0)
    rows = design(frame, wanted.data)
    number = isinstance(label, params.Regression)
    return arranged(pipeline, label, pipeline.predict(rows) if number else pipeline.predict_proba(rows))


def arranged(model: Any, label: params.Label, predicted: npt.ArrayLike) -> Floats:
    """Shape what a fitted model's `predict` or `predict_proba` returned as `answers` does."""
    found = np.asarray(predicted, dtype=np.float64)
    if isinstance(label, params.Regression):
        return found
    classes = len(label.classes) if isinstance(label, params.Multiclass) else 2
    if found.shape[1] < classes:
        few, found = found, np.zeros((len(found), classes))
        found[:, model.classes_] = few
    return found if isinstance(label, params.Multiclass) else found[:, 1]


def fresh_answers(wanted: params.Params, frames: Mapping[str, pd.DataFrame]) -> dict[str, Floats]:
    """Predict each of the newest batches with a model that was fitted on the batches before it.

    Forward chaining, so each batch is scored by a model that is as fresh as it can be and has not seen it: how hard the
    batches are, with their batch-to-batch variation, and without the optimism of a score on training rows.

    Args:
        wanted: `train.reference_batches` says how many batches are scored.
        frames: Labelled rows by batch, oldest first.

    Returns:
        Answers by batch, for the newest batches that have at least two batches before them.
    """
    names = list(frames)
    found = {}
    for place in range(max(_MIN_HISTORY, len(names) - wanted.train.reference_batches), len(names)):
        history = pd.concat([frames[name] for name in names[:place]], ignore_index=True)
        fresh = fit(build(wanted), wanted, history)
        found[names[place]] = answers(fresh, wanted, frames[names[place]])
    return found


def _import(key: str, path: str, label: params.Label) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        expected = "should be the import path of a scikit-learn estimator"
        raise ParamsError(params.FILE, key, expected, path) from error
    number = isinstance(label, params.Regression)
    if number == hasattr(kind, "predict_proba") or not hasattr(kind, "predict"):
        expected = "should be a regressor" if number else "should be a classifier with predict_proba"
        raise ParamsError(params.FILE, key, f"{expected} (data.label.kind is {label.kind})", path)
    return kind  # type: ignore[no-any-return]  # what an import path names is known only now
