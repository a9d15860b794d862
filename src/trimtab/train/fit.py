"""Builds and fits the pipeline of `params.yaml`, and predicts with it."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

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


def build(parameters: params.Params) -> Pipeline:
    """Return the unfitted pipeline: encoder, then the estimator of `model.estimator`.

    Raises:
        ParamsError: The estimator cannot be imported, does not fit `data.label`, or does not have one of the settings.
    """
    estimator_class = _import("model.estimator", parameters.model.estimator, parameters.data.label)
    defaults = {
        "random_state": parameters.model.seed,
        "categorical_features": list(range(len(parameters.data.categories))),
    }
    accepted = defaults.keys() & inspect.signature(estimator_class).parameters.keys()
    settings = {name: defaults[name] for name in accepted} | parameters.model.settings
    try:
        estimator = estimator_class(**settings)
    except TypeError as error:
        raise ParamsError(params.FILE, "model.settings", f"{error}", parameters.model.settings) from error
    return Pipeline([("encode", encoder(parameters.data)), ("estimator", estimator)])


def baseline(parameters: params.Params) -> Pipeline:
    """Return the unfitted pipeline of `gate.baseline`, the trivial model that the first champion must beat."""
    estimator_class = _import("gate.baseline", parameters.gate.baseline, parameters.data.label)
    return Pipeline([("encode", encoder(parameters.data)), ("estimator", estimator_class())])


def fit(pipeline: Pipeline, parameters: params.Params, frame: pd.DataFrame) -> Pipeline:
    """Fit a pipeline on labelled rows. The same rows and seed give predictions that are equal to the bit.

    Raises:
        ParamsError: The estimator rejects its settings, or the missing values that the data contract allows.
        OneClass: All labels are of one class, from which a classifier cannot learn.
    """
    labels = targets(frame, parameters.data)
    _expect_classes(parameters, len(frame), labels)
    with _params_error(parameters):
        return pipeline.fit(_filled(design(frame, parameters.data), parameters.data), labels)


def _filled(features: pd.DataFrame, data: params.Data) -> pd.DataFrame:
    """Put a constant into each feature without any value, such as one that was added after these batches.

    It tells a model as much as nulls, which gradient boosting on histograms refuses where there is nothing else.
    """
    empty = [name for name in data.features if features[name].isna().all()]
    return features.assign(
        **{name: data.categories[name][0] if name in data.categories else 0.0 for name in empty}
    )


def fit_rows(pipeline: Pipeline, parameters: params.Params, rows: Rows) -> Pipeline:
    """Fit a pipeline on rows in files, and read no more of them at once than the estimator needs.

    An estimator with `fit_parts` (see `train.distributed`) gets one batch at a time, so that this process never holds all
    rows. An estimator of `sklearn.dummy` ignores the features, so it gets
    the labels only. Any other estimator gets all rows at once.

    Raises:
        ParamsError: See `fit`.
        OneClass: See `fit`, or there are no rows.
    """
    estimator = pipeline.named_steps["estimator"]
    if not rows.parts:
        raise OneClass(0, [])
    if isinstance(estimator, DummyClassifier | DummyRegressor):
        return _fit_labels(pipeline, parameters, rows)
    if hasattr(estimator, "fit_parts"):
        return _fit_parts(pipeline, parameters, rows)
    return fit(pipeline, parameters, rows.frame())


def _fit_labels(pipeline: Pipeline, parameters: params.Params, rows: Rows) -> Pipeline:
    labels = targets(rows.frame([LABEL]), parameters.data)
    _expect_classes(parameters, len(rows), labels)
    encoded = pipeline.named_steps["encode"].fit_transform(design(rows.parts[0].read(), parameters.data))
    zeros = np.broadcast_to(np.float64(0), (len(labels), encoded.shape[1]))
    pipeline.named_steps["estimator"].fit(zeros, labels)
    return pipeline


def _fit_parts(pipeline: Pipeline, parameters: params.Params, rows: Rows) -> Pipeline:
    data = parameters.data
    classes = [np.unique(targets(part.read([LABEL]), data)) for part in rows.parts]
    _expect_classes(parameters, len(rows), np.concatenate(classes))
    encode = pipeline.named_steps["encode"].fit(design(rows.parts[0].read(), data))
    frames = (part.read() for part in rows.parts)
    encoded = ((encode.transform(design(frame, data)), targets(frame, data)) for frame in frames)
    with _params_error(parameters):
        pipeline.named_steps["estimator"].fit_parts(encoded, folder=rows.parts[0].path.parent)
    return pipeline


def predict(pipeline: Pipeline, parameters: params.Params, frame: pd.DataFrame) -> Floats:
    """Return the prediction of a fitted pipeline for each row.

    Returns:
        Shape `(n,)` for a binary label (the probability of 1) and for a regression (the value). Shape `(n, k)` for a
        multiclass label: the probability of each class in declared order, 0 for a class without training rows.

    Raises:
        ParamsError: The pipeline was fitted for another kind of label.
    """
    label, classifies = parameters.data.label, hasattr(pipeline, "predict_proba")
    if isinstance(label, params.Regression) == classifies:
        got = "a classifier" if classifies else "a regressor"
        expected = f"should be the kind that the model was trained for (it is {label.kind})"
        raise ParamsError(params.FILE, "data.label.kind", expected, got)
    if not len(frame):
        return np.zeros((0, len(label.classes)) if isinstance(label, params.Multiclass) else 0)
    features = design(frame, parameters.data)
    predicted = pipeline.predict_proba(features) if classifies else pipeline.predict(features)
    return shape_predictions(pipeline, label, predicted)


def shape_predictions(model: Any, label: params.Label, predicted: npt.ArrayLike) -> Floats:
    """Return the output of a fitted model's `predict` or `predict_proba` in the shape that `predict` above returns."""
    values = np.asarray(predicted, dtype=np.float64)
    if isinstance(label, params.Regression):
        return values
    classes = len(label.classes) if isinstance(label, params.Multiclass) else 2
    if values.shape[1] < classes:
        partial, values = values, np.zeros((len(values), classes))
        values[:, model.classes_] = partial
    return values if isinstance(label, params.Multiclass) else values[:, 1]


def _expect_classes(parameters: params.Params, rows: int, labels: npt.NDArray[Any]) -> None:
    if not isinstance(parameters.data.label, params.Regression) and len(np.unique(labels)) < 2:
        raise OneClass(rows, labels[:1].tolist())


@contextmanager
def _params_error(parameters: params.Params) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        expected = f"should be an estimator and settings that can be fitted on these features ({error})"
        raise ParamsError(params.FILE, "model", expected, parameters.model.estimator) from error


def _import(key: str, path: str, label: params.Label) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    try:
        estimator_class = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        expected = "should be the import path of a scikit-learn estimator"
        raise ParamsError(params.FILE, key, expected, path) from error
    regression = isinstance(label, params.Regression)
    if regression == hasattr(estimator_class, "predict_proba") or not hasattr(estimator_class, "predict"):
        expected = "should be a regressor" if regression else "should be a classifier with predict_proba"
        raise ParamsError(params.FILE, key, f"{expected} (data.label.kind is {label.kind})", path)
    return estimator_class  # type: ignore[no-any-return]  # the import path is resolved at run time
