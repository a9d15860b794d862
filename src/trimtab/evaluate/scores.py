"""Losses by row, and scores by batch."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from trimtab import params
from trimtab.contracts import BlockLoss, Score
from trimtab.evaluate import calibration

_EPSILON = 1e-15
"""Probabilities are clipped to [this, 1 - this], so that one certain and wrong prediction costs 34.5 and not infinity."""
_SUM = 1e-6
"""What the probabilities of all classes may sum up to beside 1: rounding, also of float32."""

Floats = npt.NDArray[np.float64]


def row_losses(metric: str, label: params.Label, truths: npt.ArrayLike, answers: npt.ArrayLike) -> Floats:
    """Return the loss of each row, lower is better.

    An invalid prediction (see `broken`) counts as certain and wrong, in a regression as the far end of the declared range:
    a model that answers NaN is judged, and not promoted.

    Args:
        metric: `log_loss` (nats), `brier` (squared probability, summed over the classes of a multiclass label: Brier 1950),
            `squared_error` or `absolute_error` (in units of the label).
        label: Which answers belong to which metric.
        truths: Shape `(n,)`: 0 or 1, the number of the class, or the value, as `train.features.targets` gives them.
        answers: Shape `(n,)`, or `(n, k)` for a multiclass label, as `train.fit.predict` gives them.

    >>> row_losses("brier", params.Binary(kind="binary"), [1, 0, 0], [0.9, 0.5, float("nan")]).round(2).tolist()
    [0.01, 0.25, 1.0]
    >>> value = params.Regression(kind="regression", min=0, max=9)
    >>> row_losses("absolute_error", value, [1, 6], [3.5, float("nan")]).tolist()
    [2.5, 6.0]
    """
    truth, answer = np.asarray(truths, dtype=np.float64), np.asarray(answers, dtype=np.float64)
    wrong = broken(label, answer)
    if isinstance(label, params.Regression):
        farthest = np.where(truth - label.min > label.max - truth, label.min, label.max)
        miss = truth - np.where(wrong, farthest, answer)
        return np.asarray(miss**2 if metric == "squared_error" else np.abs(miss))
    if isinstance(label, params.Multiclass):
        return _of_classes(metric, truth.astype(int), answer, wrong)
    chance = np.where(wrong, 1 - truth, answer)
    if metric == "brier":
        return np.asarray((truth - chance) ** 2)
    clipped = np.clip(chance, _EPSILON, 1 - _EPSILON)
    return np.asarray(-(truth * np.log(clipped) + (1 - truth) * np.log1p(-clipped)))


def broken(label: params.Label, answers: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Say which predictions are invalid: not a probability, not summing to 1, or not finite; shape `(n,)`."""
    answer = np.asarray(answers, dtype=np.float64)
    if isinstance(label, params.Regression):
        return ~np.isfinite(answer)
    outside = ~((answer >= 0) & (answer <= 1))
    if isinstance(label, params.Multiclass):
        return np.asarray(outside.any(axis=1) | ~(np.abs(answer.sum(axis=1) - 1) <= _SUM))
    return outside


def auc(label: params.Label, truth: Floats, answer: Floats) -> float | None:
    """Return the area under the ROC curve, of several classes the mean of each against the rest.

    Returns:
        None in a regression, where the labels lack a class, and where a prediction is invalid.
    """
    if isinstance(label, params.Regression) or broken(label, answer).any():
        return None
    classes = len(label.classes) if isinstance(label, params.Multiclass) else 2
    if len(np.unique(truth)) < classes:
        return None
    if classes > 2:
        return float(roc_auc_score(truth.astype(int), answer, multi_class="ovr", labels=np.arange(classes)))
    return float(roc_auc_score(truth.astype(int), answer if answer.ndim == 1 else answer[:, 1]))


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
        calibration=() if isinstance(label, params.Regression) else calibration.bins(truths, answers),
        invalid=int(broken(label, answers).sum()),
        auc=auc(label, np.asarray(truths, dtype=np.float64), answers),
    )


def apart(ours: Floats, theirs: Floats, truths: npt.ArrayLike, label: params.Label) -> float:
    """Return how far the answers of two models lie apart, on average over the rows; 0 without rows.

    Of probabilities the total variation, between 0 and 1; of values the absolute difference, in standard deviations of
    the rows' labels, or of the declared range where the labels are all equal.
    """
    if not len(ours):
        return 0.0
    difference = float(np.abs(ours - theirs).reshape(len(ours), -1).sum(axis=1).mean())
    if isinstance(label, params.Regression):
        return difference / (float(np.std(np.asarray(truths, dtype=np.float64))) or label.max - label.min)
    return difference / 2 if isinstance(label, params.Multiclass) else difference


def _of_classes(
    metric: str, truth: npt.NDArray[np.int_], answer: Floats, wrong: npt.NDArray[np.bool_]
) -> Floats:
    if metric == "brier":
        return np.where(wrong, 2.0, ((answer - np.eye(answer.shape[1])[truth]) ** 2).sum(axis=1))
    chance = np.where(wrong, 0.0, answer[np.arange(len(truth)), truth])
    return np.asarray(-np.log(np.clip(chance, _EPSILON, 1.0)))


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
