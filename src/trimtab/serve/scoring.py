"""Predicts the rows of a request without pandas, equal to the registered model's own predictions to the last bit.

Before a model serves, the predictions of `ArrayScorer` are compared with those of `FrameScorer`. If they differ, or if
`ArrayScorer` does not support the pipeline, `FrameScorer` serves, some milliseconds per request slower.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from trimtab.params import Category, Data, Feature, Number, Params, Regression
from trimtab.serve.row_checker import Row
from trimtab.serve.trees import MergedTrees
from trimtab.train import fit

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]

_COMPARED_ROWS = 512
_UNUSUAL_SHARE = 0.1
"""Share of the compared values that are missing, and of the categories that are undeclared."""


class Scorer(Protocol):
    """Predicts rows; `fast` says whether it does so without a data frame."""

    fast: bool

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to checked rows, shaped as by `train.fit.predict`."""


class FrameScorer:
    """Predicts with any pipeline, through a data frame."""

    fast = False

    def __init__(self, pipeline: Pipeline, params: Params) -> None:
        self._pipeline, self._params = pipeline, params

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to checked rows."""
        return fit.predict(self._pipeline, self._params, frame_of(rows, self._params.data))


class ArrayScorer:
    """Predicts with a pipeline of `train.fit.build`: from encoded rows in an array, by merged trees or the estimator."""

    fast = True

    def __init__(self, pipeline: Pipeline, params: Params) -> None:
        encode, self._estimator = pipeline.named_steps["encode"], pipeline.named_steps["estimator"]
        self._label, data = params.data.label, params.data
        boosted = isinstance(self._estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)
        inner = self._estimator._preprocessor if boosted else None
        self._codes = [(name, codes) for name, codes in _codes(encode, inner, data).items()]
        self._numbers = _getter([name for name in data.features if name not in data.categories])
        self._predict = self._walk(MergedTrees(self._estimator)) if boosted else self._call()

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to checked rows."""
        # numpy converts None to NaN.
        table = [
            (*[codes.get(row[name]) for name, codes in self._codes], *self._numbers(row)) for row in rows
        ]
        return fit.shape_predictions(
            self._estimator, self._label, self._predict(np.array(table, dtype=np.float64))
        )

    def _walk(self, trees: MergedTrees) -> Callable[[Floats], Floats]:
        loss = self._estimator._loss
        if isinstance(self._label, Regression):
            return lambda codes: loss.link.inverse(trees.raw(codes).ravel())
        return lambda codes: loss.predict_proba(trees.raw(codes))

    def _call(self) -> Callable[[Floats], Floats]:
        number = isinstance(self._label, Regression)
        return cast(
            Callable[[Floats], Floats], getattr(self._estimator, "predict" if number else "predict_proba")
        )


def scorer(pipeline: Pipeline, params: Params) -> Scorer:
    """Return the fast scorer of a pipeline if its answers equal those of the pipeline, otherwise the slow one.

    Raises:
        Exception: The pipeline cannot predict rows of the contract.
    """
    slow = FrameScorer(pipeline, params)
    rows = sample(params.data, _COMPARED_ROWS, seed=params.model.seed)
    expected = slow.answers(rows)
    try:
        fast = ArrayScorer(pipeline, params)
        equal = all(
            np.array_equal(fast.answers(rows[start:end]), expected[start:end])
            for start, end in ((0, len(rows)), (0, 1))
        )
    except Exception as error:  # whatever an unusual pipeline does here, the data frame works
        log.warning("Predictions go through a data frame: %s: %s", type(error).__name__, error)
        return slow
    if not equal:
        log.warning(
            "Predictions go through a data frame, because those of the fast scorer differ from the model's"
        )
        return slow
    return fast


def frame_of(rows: Sequence[Row], data: Data) -> pd.DataFrame:
    """Return the features of checked rows as the data frame that `train.features.design` takes."""
    return pd.DataFrame(
        {
            name: pd.Series(
                [row[name] for row in rows],
                dtype="float64" if isinstance(feature, Number) else object,
            )
            for name, feature in data.features.items()
        }
    )


def sample(data: Data, rows: int, *, seed: int) -> list[dict[str, Any]]:
    """Draw features from the declared ranges and categories, with missing and undeclared values among them."""
    draw = np.random.default_rng(seed)
    columns = {name: _drawn(feature, rows, draw) for name, feature in data.features.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _drawn(feature: Feature, rows: int, draw: np.random.Generator) -> list[object]:
    if isinstance(feature, Category):
        values: list[object] = draw.choice(feature.categories, rows).tolist()
        values = [
            "\N{REPLACEMENT CHARACTER}" if odd else value
            for value, odd in zip(values, draw.uniform(size=rows) < _UNUSUAL_SHARE, strict=True)
        ]
    else:
        values = draw.uniform(feature.min, feature.max, rows).tolist()
    if not feature.nullable:
        return values
    is_null = draw.uniform(size=rows) < _UNUSUAL_SHARE
    return [None if null else value for value, null in zip(values, is_null, strict=True)]


def _codes(encode: Any, inner: Any, data: Data) -> dict[str, Mapping[str, float]]:
    """Return the code of each declared category by feature, as the encoders give it; any other text becomes NaN."""
    rows = max([len(declared) for declared in data.categories.values()], default=0)
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
    if not rows:
        return {}
    codes = encode.transform(frame)
    codes = codes if inner is None else inner.transform(codes)
    return {
        name: dict(zip(declared, codes[: len(declared), place].tolist(), strict=True))
        for place, (name, declared) in enumerate(data.categories.items())
    }


def _getter(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)
