"""A paired comparison of two models on the same rows, with time blocks as its unit."""

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter
from scipy import special

from trimtab import params
from trimtab.contracts import Block, Comparison

Floats = npt.NDArray[np.float64]

_PRIOR_DF = 4.0
"""Weight, in degrees of freedom, of the variance that the blocks within batches let expect, against what the batches
show.

Simulated (`make bench-gate`): 1 doubts every batch, 8 believes in `gate.batch_correlation` so much that twice that
correlation gives too many false promotions.
"""


def blocks_of(
    batches: Sequence[str],
    event_times: Sequence[datetime],
    champion_losses: Floats,
    challenger_losses: Floats,
    gate: params.Gate,
) -> tuple[Block, ...]:
    """Sum the losses of both models by block of time; no block spans two batches.

    Args:
        batches: Shape `(n,)`, the batch of each row.
        event_times: Shape `(n,)`, UTC. Blocks of `gate.block_hours` are counted from the earliest row of each batch.
        champion_losses: Shape `(n,)`, loss per row.
        challenger_losses: Shape `(n,)`, of the same rows.
        gate: Length of a block.
    """
    if not len(batches):
        return ()
    times = pd.to_datetime(pd.Series(list(event_times)), utc=True)
    rows = pd.DataFrame({"batch": list(batches), "time": times, "rows": 1})
    rows["champion"], rows["challenger"] = np.asarray(champion_losses), np.asarray(challenger_losses)
    hours = (times - rows.groupby("batch")["time"].transform("min")).dt.total_seconds() / 3600
    rows["number"] = (hours / gate.block_hours).astype(int)
    sums = rows.groupby(["batch", "number"])[["rows", "champion", "challenger"]].sum().reset_index()
    return TypeAdapter(tuple[Block, ...]).validate_python(sums.to_dict("records"))


def paired(blocks: Sequence[Block], gate: params.Gate, *, error: float) -> Comparison:
    """Estimate how much less the challenger loses per row, with Student-t bounds over time blocks and batches.

    Rows within one block share their weather, their backlog, their day, so the block is the unit; and blocks within
    one batch share their week. The mean over rows is a ratio of sums, with the standard error of the ratio estimator
    (Cochran, Sampling Techniques, 3rd ed., section 6.4). Over blocks, it is widened by the design effect `1 + (m - 1)
    r` of m blocks a batch with correlation r = `gate.batch_correlation` (Kish, Survey Sampling, section 5.4). Over
    batches, it is taken as it is, once there are two. Both are joined as a moderated variance (Smyth 2004, Stat.
    Appl. Genet. Mol. Biol. 3:1): few batches lean on the former, many on themselves. A percentile bootstrap over few
    blocks is too narrow: over 7 day blocks it promotes equal models in 6.3 % of cases at a nominal 2.5 %.

    Args:
        blocks: All blocks that were judged, of this look and the looks before.
        gate: Metric, correlation, and the error over all looks.
        error: The share of `gate.error` that may be spent now.

    Returns:
        `gain` is positive when the challenger is better; `lower` holds with an error of `error`, `upper` with one of
        `gate.error`. With fewer than two blocks both are unbounded.
    """
    sums = np.array([(block.champion - block.challenger, block.rows) for block in blocks]).reshape(
        len(blocks), 2
    )
    rows = int(sums[:, 1].sum())
    gain = float(sums[:, 0].sum() / rows) if rows else 0.0
    down = up = math.inf
    if len(blocks) > 1:
        wide, freedom = _standard_error([block.batch for block in blocks], sums, gain, gate)
        down, up = (float(-special.stdtrit(freedom, tail)) * wide for tail in (error, gate.error))
    return Comparison(
        metric=gate.metric,
        rows=rows,
        blocks=len(blocks),
        champion_loss=sum(block.champion for block in blocks) / rows if rows else 0.0,
        challenger_loss=sum(block.challenger for block in blocks) / rows if rows else 0.0,
        gain=gain,
        lower=max(gain - down, -UNBOUNDED),
        upper=min(gain + up, UNBOUNDED),
        error=error,
    )


UNBOUNDED = 1e300
"""Stands for infinity, which JSON has no word for; no loss per row comes near it, squared errors included."""
_COVERED = 0.95
"""Of the bounds of one model's loss, which decide nothing: they are drawn."""


def loss_bounds(
    event_times: Sequence[datetime], losses: Floats, gate: params.Gate
) -> tuple[float, float] | None:
    """Bound one model's mean loss on one batch with 95 %, with time blocks as the unit as in `paired`.

    Args:
        event_times: Shape `(n,)`, UTC.
        losses: Shape `(n,)`, loss per row.
        gate: Length of a block.

    Returns:
        Lower and upper bound; None when there are fewer than two blocks, or losses whose square is no number.
    """
    blocks = blocks_of([""] * len(losses), event_times, losses, losses, gate)
    if len(blocks) < 2:
        return None
    sums = np.array([(block.champion, block.rows) for block in blocks])
    mean = float(sums[:, 0].sum() / sums[:, 1].sum())
    quantile = float(-special.stdtrit(len(blocks) - 1, (1 - _COVERED) / 2))
    half = quantile * float(np.sqrt(_ratio_variance(sums, mean)))
    return (max(mean - half, 0.0), mean + half) if np.isfinite(half) else None


def _standard_error(
    batches: Sequence[str], sums: Floats, gain: float, gate: params.Gate
) -> tuple[float, float]:
    names, place = np.unique(np.asarray(batches), return_inverse=True)
    design = 1 + (len(sums) / len(names) - 1) * gate.batch_correlation
    variance = design * _ratio_variance(sums, gain)
    if len(names) < 2:
        return float(np.sqrt(variance)), min(_PRIOR_DF, len(sums) - 1)
    by_batch: Floats = np.array([np.bincount(place, weights=column) for column in sums.T]).T
    seen = len(names) - 1
    moderated = (_PRIOR_DF * variance + seen * _ratio_variance(by_batch, gain)) / (_PRIOR_DF + seen)
    return float(np.sqrt(moderated)), min(_PRIOR_DF + seen, len(sums) - 1)


def _ratio_variance(sums: Floats, gain: float) -> float:
    count = len(sums)
    residuals = sums[:, 0] - gain * sums[:, 1]
    return float(count / (count - 1) * (residuals**2).sum() / sums[:, 1].sum() ** 2)
