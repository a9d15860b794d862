"""The score of one model on one batch: sums by block of time, of which all decisions are functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from trimtab import params
from trimtab.evaluate.scores import broken, row_losses, score

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLoss:
    """The loss of one model, summed over the rows of one block of time within one batch."""

    number: int
    rows: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Rows with a predicted probability in one bin: their number, and the sums of predictions and outcomes."""

    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one model did on the labelled rows of one batch that it was not trained on.

    `slices` maps `feature=value` to the blocks of these rows, for the features of `gate.slices`. `calibration` has bins of
    equal width, and is empty in a regression. `invalid` counts predictions that are no probability or no finite number.
    `auc` is None in a regression, and where the rows lack a class.
    """

    metric: str
    blocks: tuple[BlockLoss, ...]
    slices: Mapping[str, tuple[BlockLoss, ...]]
    calibration: tuple[CalibrationBin, ...]
    invalid: int
    auc: float | None

    @property
    def rows(self) -> int:
        """Number of labelled rows."""
        return sum(block.rows for block in self.blocks)

    @property
    def loss(self) -> float:
        """Mean loss per row, in units of `metric`; 0 without rows."""
        return sum(block.loss for block in self.blocks) / max(1, self.rows)


_BINS = 20
"""Bins of calibration. Their width is equal, so that the bins of several batches can be added up."""


def score_model(
    rows: pd.DataFrame, truths: npt.ArrayLike, answers: Floats, parameters: params.Params, block_hours: float
) -> Score:
    """Score the predictions of one model on the labelled rows of one batch.

    Args:
        rows: Labelled rows of one batch, shape `(n, …)`, with `event_time` and the features of `gate.slices`.
        truths: Their labels as numbers, shape `(n,)`, as `train.features.targets` returns them.
        answers: Predictions for these rows, as `train.fit.predict` returns them.
        parameters: Kind of label, metric and slices.
        block_hours: Length of a block. Blocks are counted from the earliest row.
    """
    label, gate = parameters.data.label, parameters.gate
    losses = row_losses(gate.metric, label, truths, answers)
    numbers = _block_numbers(rows["event_time"], block_hours)
    return Score(
        metric=gate.metric,
        blocks=_sums(numbers, losses),
        slices={
            f"{feature}={value}": _sums(numbers[where], losses[where])
            for feature in gate.slices
            for value, where in sorted(rows.groupby(feature).indices.items(), key=lambda item: str(item[0]))
        },
        calibration=() if isinstance(label, params.Regression) else _calibration(truths, answers),
        invalid=int(broken(label, answers).sum()),
        auc=score("", label, truths, answers, gate.metric).auc,
    )


def calibration_error(scores: Iterable[Score]) -> float:
    """Return the expected calibration error over all rows of the scores, between 0 and 1 (Naeini et al. 2015, AAAI).

    Of several classes, the one that the model holds most likely counts, with its probability (Guo et al. 2017, ICML).
    """
    bins = [(each.rows, each.predicted, each.observed) for score in scores for each in score.calibration]
    rows, predicted, observed = np.reshape(bins, (-1, _BINS, 3)).sum(axis=0).T
    return float(np.abs(predicted - observed).sum() / max(1, rows.sum()))


def _block_numbers(times: "pd.Series[pd.Timestamp]", block_hours: float) -> npt.NDArray[np.int64]:
    hours = (times - times.min()).dt.total_seconds().to_numpy() / 3600
    return np.asarray(hours // block_hours, dtype=np.int64)


def _sums(numbers: npt.NDArray[np.int64], losses: Floats) -> tuple[BlockLoss, ...]:
    present, place = np.unique(numbers, return_inverse=True)
    rows, sums = np.bincount(place), np.bincount(place, weights=losses)
    return tuple(
        BlockLoss(number=int(number), rows=int(count), loss=float(loss))
        for number, count, loss in zip(present, rows, sums, strict=True)
    )


def _calibration(truths: npt.ArrayLike, answers: Floats) -> tuple[CalibrationBin, ...]:
    chance, truth = answers, np.asarray(truths)
    if chance.ndim == 2:
        truth, chance = chance.argmax(axis=1) == truth, chance.max(axis=1)
    valid = (chance >= 0) & (chance <= 1)  # an invalid prediction is counted apart, and belongs to no bin
    chance, truth = chance[valid], np.asarray(truth, dtype=np.float64)[valid]
    place = np.minimum((chance * _BINS).astype(np.int64), _BINS - 1)
    rows = np.bincount(place, minlength=_BINS)
    predicted = np.bincount(place, weights=chance, minlength=_BINS)
    observed = np.bincount(place, weights=truth, minlength=_BINS)
    return tuple(
        CalibrationBin(rows=int(count), predicted=float(of_model), observed=float(of_rows))
        for count, of_model, of_rows in zip(rows, predicted, observed, strict=True)
    )
