"""Losses by row, and scores by batch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from trimtab.contracts import BatchScore

_EPSILON = 1e-15
"""Probabilities are clipped to [this, 1 - this], so that one certain and wrong prediction costs 34.5 and not infinity."""

Floats = npt.NDArray[np.float64]


def row_losses(metric: str, labels: Sequence[int], probabilities: Sequence[float]) -> Floats:
    """Return the loss of each row, lower is better.

    What is no probability (see `broken`) counts as certain and wrong: a model that answers NaN is judged, and not promoted.

    Args:
        metric: `log_loss` (nats) or `brier` (squared probability).
        labels: Shape `(n,)`, 0 or 1.
        probabilities: Shape `(n,)`, of label 1.

    >>> row_losses("brier", [1, 0, 0], [0.9, 0.5, float("nan")]).round(2).tolist()
    [0.01, 0.25, 1.0]
    """
    truth, chance = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    chance = np.where(broken(chance), 1 - truth, chance)
    if metric == "brier":
        return np.asarray((truth - chance) ** 2)
    clipped = np.clip(chance, _EPSILON, 1 - _EPSILON)
    return np.asarray(-(truth * np.log(clipped) + (1 - truth) * np.log1p(-clipped)))


def broken(probabilities: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Say which predictions are no probabilities: NaN, or outside [0, 1]; shape `(n,)`."""
    chance = np.asarray(probabilities, dtype=np.float64)
    return ~((chance >= 0) & (chance <= 1))


def score(
    batch: str, labels: Sequence[int], probabilities: Sequence[float], metric: str, *, rows: int | None = None
) -> BatchScore:
    """Score one batch; `rows` counts those without a label too. Without any label the loss is NaN-free 0 and AUC None."""
    losses = row_losses(metric, labels, probabilities)
    both, whole = len(set(np.asarray(labels).tolist())) == 2, not broken(probabilities).any()
    return BatchScore(
        batch=batch,
        rows=len(losses) if rows is None else rows,
        labelled=len(losses),
        loss=float(losses.mean()) if len(losses) else 0.0,
        auc=float(roc_auc_score(np.asarray(labels, dtype=int), probabilities)) if both and whole else None,
    )
