"""Fit the pipeline that `params.yaml` names, and learn how well a fresh one does on a batch it has not seen."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline

from trimtab import params
from trimtab.data.schema import LABEL
from trimtab.errors import OneClass, ParamsError
from trimtab.train.features import design, encoder, targets
from trimtab.train.row_groups import Rows

Floats = npt.NDArray[np.float64]

_MIN_HISTORY = 2
"""Batches that a fresh model of the reference must at least have been fitted on."""


@runtime_checkable
class Distributed(Protocol):
    """An estimator whose rows need not pass through this process at once."""

    def fit_parts(self, parts: Iterable[tuple[Floats, npt.NDArray[Any]]], *, folder: Path) -> Any:
        """Fit on matrices `(n, features)` and labels `(n,)`, one pair after another; `folder` may hold files."""


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
    _expect_classes(wanted, len(frame), truths)
    with _refusal(wanted):
        return pipeline.fit(design(frame, wanted.data), truths)


def fit_rows(pipeline: Pipeline, wanted: params.Params, rows: Rows) -> Pipeline:
    """Fit on rows in files, with no more of them in this process than the estimator needs there.

    A `Distributed` estimator gets them a batch at a time; one of `sklearn.dummy`, which looks at no feature, their labels;
    any other all at once.

    Raises:
        ParamsError: As `fit`.
        OneClass: As `fit`.
    """
    estimator = pipeline.named_steps["estimator"]
    if not rows.parts:
        raise OneClass(0, [])
    if isinstance(estimator, DummyClassifier | DummyRegressor):
        return _fit_labels(pipeline, wanted, rows)
    if isinstance(estimator, Distributed):
        return _fit_parts(pipeline, wanted, rows)
    return fit(pipeline, wanted, rows.frame())


def _fit_labels(pipeline: Pipeline, wanted: params.Params, rows: Rows) -> Pipeline:
    truths = targets(rows.frame([LABEL]), wanted.data)
    _expect_classes(wanted, len(rows), truths)
    coded = pipeline.named_steps["encode"].fit_transform(design(rows.parts[0].read(), wanted.data))
    pipeline.named_steps["estimator"].fit(
        np.broadcast_to(np.float64(0), (len(truths), coded.shape[1])), truths
    )
    return pipeline


def _fit_parts(pipeline: Pipeline, wanted: params.Params, rows: Rows) -> Pipeline:
    classes = [np.unique(targets(part.read([LABEL]), wanted.data)) for part in rows.parts]
    _expect_classes(wanted, len(rows), np.concatenate(classes))
    encode = pipeline.named_steps["encode"].fit(design(rows.parts[0].read(), wanted.data))
    frames = (part.read() for part in rows.parts)
    coded = ((encode.transform(design(one, wanted.data)), targets(one, wanted.data)) for one in frames)
    with _refusal(wanted):
        pipeline.named_steps["estimator"].fit_parts(coded, folder=rows.parts[0].path.parent)
    return pipeline


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


def fresh_answers(wanted: params.Params, rows: Rows) -> dict[str, Floats]:
    """Predict each of the newest batches with a model that was fitted on the batches before it.

    Forward chaining, so each batch is scored by a model that is as fresh as it can be and has not seen it: how hard the
    batches are, with their batch-to-batch variation, and without the optimism of a score on training rows.

    Args:
        wanted: `train.reference_batches` says how many batches are scored.
        rows: Labelled rows.

    Returns:
        Answers by batch, for the newest batches that have at least two batches before them.
    """
    parts, found = rows.parts, {}
    for place in range(max(_MIN_HISTORY, len(parts) - wanted.train.reference_batches), len(parts)):
        fresh = fit_rows(build(wanted), wanted, Rows(parts[:place]))
        found[parts[place].batch] = answers(fresh, wanted, parts[place].read())
    return found


def _expect_classes(wanted: params.Params, rows: int, truths: npt.NDArray[Any]) -> None:
    if not isinstance(wanted.data.label, params.Regression) and len(np.unique(truths)) < 2:
        raise OneClass(rows, truths[:1].tolist())


@contextmanager
def _refusal(wanted: params.Params) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        expected = f"should be an estimator and settings that can be fitted on these features ({error})"
        raise ParamsError(params.FILE, "model", expected, wanted.model.estimator) from error


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
