"""Fits one model on some batches of a history, and scores it on those that follow."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from trimtab import params
from trimtab.contracts import Score
from trimtab.errors import OneClass
from trimtab.evaluate.scores import score_model
from trimtab.train import fit
from trimtab.train.features import targets
from trimtab.train.row_groups import Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A model that was fitted through one batch: its scores on all later batches, by batch.

    Args:
        seconds: That the training took.
        error: Why there is no model. Then there are no scores.
    """

    seconds: float
    scores: Mapping[str, Score]
    error: str | None = None


def fit_shadow(
    parameters: params.Params, rows: Rows, batches: range, *, baseline: bool, block_hours: float
) -> tuple[Shadow, Floats, Floats]:
    """Fit on the batches with these numbers, and score on the batches that follow; the baseline only on the next one.

    Returns:
        The scores; the predictions on the newest of `batches`; those on the next batch (empty after the last one).
    """
    build = fit.baseline if baseline else fit.build
    began = time.monotonic()
    with threadpool_limits(1):  # the replay runs as many processes as there are processors
        try:
            model = fit.fit_rows(
                build(parameters), parameters, Rows(rows.parts[batches.start : batches.stop])
            )
        except OneClass as error:
            return (
                Shadow(seconds=time.monotonic() - began, scores={}, error=str(error)),
                np.empty(0),
                np.empty(0),
            )
        seconds = time.monotonic() - began
        parts = rows.parts[batches.stop - 1 : batches.stop + 1 if baseline else None]
        frame = Rows(parts).frame()
        answers = fit.predict(
            model, parameters, frame
        )  # of all batches at once: a call costs more than its rows
    scores, ends = {}, np.cumsum([part.rows for part in parts])
    by_batch = dict(zip([part.batch for part in parts], np.split(answers, ends[:-1]), strict=True))
    for part, end in zip(parts[1:], ends[1:], strict=True):
        rows_of_batch = frame.iloc[end - part.rows : end]
        truths = targets(rows_of_batch, parameters.data)
        scores[part.batch] = score_model(rows_of_batch, truths, by_batch[part.batch], parameters, block_hours)
    newest, following, *_ = (*by_batch.values(), np.empty(0))
    return Shadow(seconds=seconds, scores=scores), newest, following
