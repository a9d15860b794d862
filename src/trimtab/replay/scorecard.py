"""The scorecard of a replay: what each policy lost, deployed, and how it compares with a schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from trimtab.replay.play import Played

_LAG = 4
"""Batches over which the differences of successive batches are taken to be correlated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy on one history.

    Args:
        policy: Its name.
        loss: Mean loss per row over all served batches.
        auc: Mean over batches, None in a regression.
        gain_kept: Share of the gain of retraining after every batch over never retraining; None if that gains nothing.
        deployments: After the first one.
        per_batch: Deployments per batch.
        wrong: Deployed models that lost more over the next four batches than the one that they replaced.
        rollbacks: Number of rollbacks.
        reaction: Mean number of batches from an abrupt drift to the first deployment after it, None without drifts.
        difference: Mean difference of the loss per row to the schedule with as many deployments; negative is better.
        error: Standard error of `difference`.
    """

    policy: str
    loss: float
    auc: float | None
    gain_kept: float | None
    deployments: int
    per_batch: float
    wrong: int
    rollbacks: int
    reaction: float | None
    difference: float
    error: float


def losses(played: Played) -> npt.NDArray[np.float64]:
    """Return the mean loss of each served batch, shape `(n,)`."""
    return np.array([score.loss for score in played.scores])


def summed(played: Played) -> float:
    """Return the loss of all served rows."""
    return sum(score.loss * score.rows for score in played.scores)


def row(
    played: Played, *, never: Played, always: Played, schedule: Played, drifts: Sequence[int] = ()
) -> Row:
    """Return the figures of one policy.

    Args:
        played: The policy.
        never: The policy that keeps the first model, on the same record.
        always: The policy that retrains after each batch.
        schedule: The schedule with as many deployments.
        drifts: Numbers of the batches of the record with which an abrupt drift begins.
    """
    scores = played.scores
    aucs = [score.auc for score in scores if score.auc is not None]
    difference, error = difference_to(played, schedule)
    to_gain = summed(never) - summed(always)
    return Row(
        policy=played.policy,
        loss=summed(played) / sum(score.rows for score in scores),
        auc=fmean(aucs) if aucs else None,
        gain_kept=(summed(never) - summed(played)) / to_gain if to_gain > 0 else None,
        deployments=played.deployments,
        per_batch=played.deployments / len(scores),
        wrong=played.wrong,
        rollbacks=played.rollbacks,
        reaction=reaction(played, drifts),
        difference=difference,
        error=error,
    )


def difference_to(played: Played, other: Played) -> tuple[float, float]:
    """Return the mean difference of the losses of two policies over batches, and its standard error.

    Successive batches are correlated: the error is that of Newey and West (1987) with a lag of four batches.
    """
    differences = losses(played) - losses(other)
    return float(differences.mean()), newey_west(differences)


def newey_west(values: npt.ArrayLike) -> float:
    """Return the standard error of a mean of correlated values (Newey and West 1987, Econometrica 55), lag 4.

    >>> newey_west([1.0, 1.0, 1.0])
    0.0
    """
    array = np.asarray(values, dtype=np.float64)
    centred = array - array.mean()
    count = len(centred)
    weights = [1.0, *(2 * (1 - lag / (_LAG + 1)) for lag in range(1, min(_LAG, count - 1) + 1))]
    variance = sum(weight * (centred[lag:] @ centred[: count - lag]) for lag, weight in enumerate(weights))
    return float(np.sqrt(max(variance, 0.0))) / count


def reaction(played: Played, drifts: Sequence[int]) -> float | None:
    """Return the mean number of batches from an abrupt drift to the first deployment that knows of it.

    A drift without a deployment after it counts up to the end of the record.
    """
    deployed = [tenure.since for tenure in played.tenures if tenure.kind == "deployment"]
    after = [
        min((since for since in deployed if since > drift), default=len(played.record)) - drift
        for drift in drifts
        if drift >= played.begin
    ]
    return fmean(after) if after else None
