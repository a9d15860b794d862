"""Fits one model on some batches of a history, and scores it on those that follow."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from trimtab import params
from trimtab.contracts import Score
from trimtab.data.batches import BATCH, labelled
from trimtab.errors import OneClass
from trimtab.evaluate.scores import score_model
from trimtab.train import fit
from trimtab.train.features import targets
from trimtab.train.row_groups import Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A model that was fitted through one batch: its scores on all later batches with a label, by batch.

    Args:
        seconds: That the training took.
        error: Why there is no model. Then there are no scores.
    """

    seconds: float
    scores: Mapping[str, Score]
    error: str | None = None


def fit_shadow(
    parameters: params.Params,
    rows: Rows,
    batches: range,
    *,
    following: int,
    cutoffs: Sequence[datetime],
    baseline: bool,
    block_hours: float,
) -> tuple[Shadow, Floats, Floats]:
    """Fit on the batches with these numbers, and score on the batches that follow; the baseline only on the next one.

    A model is fitted with the labels known when its newest batch is scored, and the baseline, which the loop does not keep,
    with those known when the next one is.

    Args:
        parameters: Under which the model is fitted and scored.
        rows: Of all batches of the history.
        batches: Numbers of the batches to train on.
        following: Number of the batch through which the candidate is fitted next.
        cutoffs: For each batch of the history, the time up to which labels count when a model is fitted through the batch,
            and when the batch is scored.
        baseline: Whether the baseline is fitted instead.
        block_hours: See `score_model`.

    Returns:
        The scores; the predictions on the newest of `batches`; those on batch `following` (empty after the last one).
    """
    build = fit.baseline if baseline else fit.build
    through = batches.stop - 1
    cutoff = cutoffs[min(through + 1, len(cutoffs) - 1) if baseline else through]
    began = time.monotonic()
    with threadpool_limits(1):  # the replay runs as many processes as there are processors
        try:
            training = Rows(rows.parts[batches.start : batches.stop]).known_at(cutoff)
            model = fit.fit_rows(build(parameters), parameters, training)
        except OneClass as error:
            return (
                Shadow(seconds=time.monotonic() - began, scores={}, error=str(error)),
                np.empty(0),
                np.empty(0),
            )
        seconds = time.monotonic() - began
        scored = slice(batches.stop - 1, batches.stop + 1 if baseline else None)
        parts = rows.parts[scored]
        frame = pd.concat(
            (labelled(part.read(), cutoff) for part, cutoff in zip(parts, cutoffs[scored], strict=True)),
            ignore_index=True,
        )
        answers = fit.predict(
            model, parameters, frame
        )  # of all batches at once: a call costs more than its rows
    places = frame.groupby(BATCH).indices
    scores = {}
    for part in parts[1:]:
        if part.batch in places:
            rows_of_batch, predicted = frame.iloc[places[part.batch]], answers[places[part.batch]]
            truths = targets(rows_of_batch, parameters.data)
            scores[part.batch] = score_model(rows_of_batch, truths, predicted, parameters, block_hours)
    ids = [*(part.batch for part in rows.parts), None]
    newest, later = (answers[places.get(ids[number], [])] for number in (through, following))
    return Shadow(seconds=seconds, scores=scores), newest, later
