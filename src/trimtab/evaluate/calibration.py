"""Calibration: how far predicted probabilities lie from observed shares, in sums that can be added up over batches."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from trimtab.contracts import CalibrationBin, Score

Floats = npt.NDArray[np.float64]

BINS = 20
"""Bins of calibration. Their width is equal, so that the bins of several batches can be added up."""


def bins(truths: npt.ArrayLike, answers: Floats) -> tuple[CalibrationBin, ...]:
    """Sum up predictions and outcomes in bins of equal width; of several classes, for the one that is held most likely."""
    chance, truth = answers, np.asarray(truths)
    if chance.ndim == 2:
        truth, chance = chance.argmax(axis=1) == truth, chance.max(axis=1)
    valid = (chance >= 0) & (chance <= 1)  # an invalid prediction is counted apart, and belongs to no bin
    chance, truth = chance[valid], np.asarray(truth, dtype=np.float64)[valid]
    place = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    predicted = np.bincount(place, weights=chance, minlength=BINS)
    observed = np.bincount(place, weights=truth, minlength=BINS)
    return tuple(
        CalibrationBin(rows=int(count), predicted=float(of_model), observed=float(of_rows))
        for count, of_model, of_rows in zip(rows, predicted, observed, strict=True)
    )


def expected_error(scores: Iterable[Score]) -> float:
    """Return the expected calibration error over all rows of the scores, between 0 and 1 (Naeini et al. 2015, AAAI).

    Of several classes, the one that the model holds most likely counts, with its probability (Guo et al. 2017, ICML).
    """
    bins = [(each.rows, each.predicted, each.observed) for score in scores for each in score.calibration]
    rows, predicted, observed = np.reshape(bins, (-1, BINS, 3)).sum(axis=0).T
    return float(np.abs(predicted - observed).sum() / max(1, rows.sum()))
