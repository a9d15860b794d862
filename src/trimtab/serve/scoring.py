"""From the rows of a request to answers, without pandas; equal to the registered model's own to the bit.

A model's fast way is compared with its slow one before it serves. Where they differ, or where the pipeline is of a form
that is not known here, the slow one answers: correct, and some milliseconds a request slower.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from trimtab import params
from trimtab.serve.row_checker import Row
from trimtab.serve.trees import MergedTrees
from trimtab.train import fit

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]

_COMPARED_ROWS = 512
_STRANGE = 0.1
"""Share of the compared values that are missing, and of the categories that are undeclared."""


class Scorer(Protocol):
    """Answers rows; `fast` tells whether it does without a frame."""

    fast: bool

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to sound rows, shaped as `train.fit.answers` shapes them."""


class SlowScorer:
    """Any pipeline, through a frame."""

    fast = False

    def __init__(self, pipeline: Pipeline, wanted: params.Params) -> None:
        self._pipeline, self._wanted = pipeline, wanted

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to sound rows."""
        return fit.answers(self._pipeline, self._wanted, frame_of(rows, self._wanted.data))


class FastScorer:
    """A pipeline of `train.fit.build`: categories by dict, then the estimator's trees or its own predict on an array."""

    fast = True

    def __init__(self, pipeline: Pipeline, wanted: params.Params) -> None:
        encode, self._estimator = pipeline.named_steps["encode"], pipeline.named_steps["estimator"]
        self._label, data = wanted.data.label, wanted.data
        boosted = isinstance(self._estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)
        inner = self._estimator._preprocessor if boosted else None
        self._codes = [(name, codes) for name, codes in _codes(encode, inner, data).items()]
        self._numbers = _getter([name for name in data.features if name not in data.categories])
        self._predict = self._walk(MergedTrees(self._estimator)) if boosted else self._call()

    def answers(self, rows: Sequence[Row]) -> Floats:
        """Return the answers to sound rows."""
        # numpy makes NaN of None.
        table = [
            (*[codes.get(row[name]) for name, codes in self._codes], *self._numbers(row)) for row in rows
        ]
        return fit.arranged(self._estimator, self._label, self._predict(np.array(table, dtype=np.float64)))

    def _walk(self, trees: MergedTrees) -> Callable[[Floats], Floats]:
        loss = self._estimator._loss
        if isinstance(self._label, params.Regression):
            return lambda codes: loss.link.inverse(trees.raw(codes).ravel())
        return lambda codes: loss.predict_proba(trees.raw(codes))

    def _call(self) -> Callable[[Floats], Floats]:
        number = isinstance(self._label, params.Regression)
        found: Callable[[Floats], Floats] = getattr(self._estimator, "predict" if number else "predict_proba")
        return found


def scorer(pipeline: Pipeline, wanted: params.Params) -> Scorer:
    """Return the fast scorer of a pipeline where it answers as the pipeline does, else the slow one.

    Raises:
        Exception: The pipeline cannot answer rows of the contract at all.
    """
    slow = SlowScorer(pipeline, wanted)
    rows = sample(wanted.data, _COMPARED_ROWS, seed=wanted.model.seed)
    expected = slow.answers(rows)
    try:
        fast = FastScorer(pipeline, wanted)
        equal = all(
            np.array_equal(fast.answers(rows[start:end]), expected[start:end])
            for start, end in ((0, len(rows)), (0, 1))
        )
    except Exception as error:  # whatever a strange pipeline does here, the slow way knows it
        log.warning("Answers go through a frame: %s: %s", type(error).__name__, error)
        return slow
    if not equal:
        log.warning("Answers go through a frame: the fast way differs from the model's own")
        return slow
    return fast


def frame_of(rows: Sequence[Row], data: params.Data) -> pd.DataFrame:
    """Return the features of sound rows as the frame that `train.features.design` takes."""
    return pd.DataFrame(
        {
            name: pd.Series(
                [row[name] for row in rows],
                dtype="float64" if isinstance(feature, params.Number) else object,
            )
            for name, feature in data.features.items()
        }
    )


def sample(data: params.Data, rows: int, *, seed: int) -> list[dict[str, Any]]:
    """Draw features from the declared ranges and categories, with missing and undeclared values among them."""
    draw = np.random.default_rng(seed)
    columns = {name: _drawn(feature, rows, draw) for name, feature in data.features.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _drawn(feature: params.Feature, rows: int, draw: np.random.Generator) -> list[object]:
    values: list[object]
    if isinstance(feature, params.Category):
        values = draw.choice(feature.categories, rows).tolist()
        values = [
            "\N{REPLACEMENT CHARACTER}" if odd else value
            for value, odd in zip(values, draw.uniform(size=rows) < _STRANGE, strict=True)
        ]
    else:
        values = draw.uniform(feature.min, feature.max, rows).tolist()
    if not feature.nullable:
        return values
    gone = draw.uniform(size=rows) < _STRANGE
    return [None if lost else value for value, lost in zip(values, gone, strict=True)]


def _codes(encode: Any, inner: Any, data: params.Data) -> dict[str, Mapping[str, float]]:
    """Ask the encoders for the code of each declared category, by feature; what is not in there is NaN."""
    rows = max([len(declared) for declared in data.categories.values()], default=0)
    frame = pd.DataFrame(
        {
            name: (
                [feature.categories[row % len(feature.categories)] for row in range(rows)]
                if isinstance(feature, params.Category)
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
