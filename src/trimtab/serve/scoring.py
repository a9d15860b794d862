"""Predicts the rows of a request without pandas, equal to the registered model's own predictions to the last bit.

Before a model serves, the predictions of `_ArrayScorer` are compared with those of `Scorer`. If they differ, or if
`_ArrayScorer` does not support the pipeline, `Scorer` serves, some milliseconds per request slower.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from trimtab.params import Category, Data, Feature, Label, Number, Params, Regression
from trimtab.serve.row_checker import Row
from trimtab.serve.trees import MergedTrees
from trimtab.train import fit

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]

_BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_COMPARED_ROWS = 512
_UNUSUAL_SHARE = 0.1
"""Share of the compared values that are missing, and of the categories that are undeclared."""


class Scorer:
    """Predicts rows with any pipeline, through a data frame; `fast` says whether it does without one."""

    fast = False

    def __init__(self, pipeline: Pipeline, params: Params) -> None:
        self._pipeline, self._params = pipeline, params

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to checked rows, shaped as by `train.fit.predict`."""
        columns = {
            name: pd.Series(
                [row[name] for row in rows], dtype="float64" if isinstance(feature, Number) else object
            )
            for name, feature in self._params.data.features.items()
        }
        return fit.predict(self._pipeline, self._params, pd.DataFrame(columns))


class _ArrayScorer(Scorer):
    """Predicts with a pipeline of `train.fit.build`: from encoded rows in an array, by merged trees or the estimator."""

    fast = True

    def __init__(self, pipeline: Pipeline, params: Params) -> None:
        super().__init__(pipeline, params)
        data, self._estimator = params.data, pipeline.named_steps["estimator"]
        self._codes = list(_codes(pipeline.named_steps["encode"], self._estimator, data).items())
        self._numbers = _getter([name for name in data.features if name not in data.categories])
        self._predict = _predictor(self._estimator, data.label)

    def answers(self, rows: Sequence[Row]) -> Floats:
        # numpy converts None to NaN.
        table = [
            (*[codes.get(row[name]) for name, codes in self._codes], *self._numbers(row)) for row in rows
        ]
        predicted = self._predict(np.array(table, dtype=np.float64))
        return fit.shape_predictions(self._estimator, self._params.data.label, predicted)


def scorer(pipeline: Pipeline, params: Params) -> Scorer:
    """Return the fast scorer of a pipeline if its answers equal those of the pipeline, otherwise the slow one.

    Raises:
        Exception: The pipeline cannot predict rows of the contract.
    """
    slow = Scorer(pipeline, params)
    rows = sample(params.data, _COMPARED_ROWS, seed=params.model.seed)
    expected = slow.answers(rows)
    try:
        fast = _ArrayScorer(pipeline, params)
        for end in (len(rows), 1):
            if not np.array_equal(fast.answers(rows[:end]), expected[:end]):
                raise ValueError("those of the fast scorer differ from the model's")
    except Exception as error:  # whatever an unusual pipeline does here, the data frame works
        log.warning("Predictions go through a data frame: %s: %s", type(error).__name__, error)
        return slow
    return fast


def sample(data: Data, rows: int, *, seed: int) -> list[dict[str, Any]]:
    """Draw features from the declared ranges and categories, with missing and undeclared values among them."""
    draw = np.random.default_rng(seed)
    columns = {name: _drawn(feature, rows, draw) for name, feature in data.features.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _drawn(feature: Feature, rows: int, draw: np.random.Generator) -> list[object]:
    if isinstance(feature, Category):
        values = draw.choice(feature.categories, rows).astype(object)
        values[draw.uniform(size=rows) < _UNUSUAL_SHARE] = "\N{REPLACEMENT CHARACTER}"
    else:
        values = draw.uniform(feature.min, feature.max, rows).astype(object)
    if feature.nullable:
        values[draw.uniform(size=rows) < _UNUSUAL_SHARE] = None
    return list(values)


def _codes(encode: Any, estimator: Any, data: Data) -> dict[str, Mapping[str, float]]:
    """Return the code of each declared category by feature, as the encoders give it; any other text becomes NaN."""
    rows = max(map(len, data.categories.values()), default=0)
    if not rows:
        return {}
    frame = pd.DataFrame(
        {
            name: (
                [feature.categories[row % len(feature.categories)] for row in range(rows)]
                if isinstance(feature, Category)
                else np.full(rows, feature.min)
            )
            for name, feature in data.features.items()
        }
    )
    codes = encode.transform(frame)
    if inner := getattr(estimator, "_preprocessor", None):
        codes = inner.transform(codes)
    return {
        name: dict(zip(declared, codes[: len(declared), place].tolist(), strict=True))
        for place, (name, declared) in enumerate(data.categories.items())
    }


def _predictor(estimator: Any, label: Label) -> Any:
    number = isinstance(label, Regression)
    if not isinstance(estimator, _BOOSTED):
        return estimator.predict if number else estimator.predict_proba
    raw, loss = MergedTrees(estimator).raw, estimator._loss
    if number:
        return lambda codes: loss.link.inverse(raw(codes).ravel())
    return lambda codes: loss.predict_proba(raw(codes))


def _getter(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    return itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names)
