"""A paired comparison of two models on the same rows, with time blocks as its unit."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from trimtab import params
from trimtab.contracts import Comparison

Floats = npt.NDArray[np.float64]


def paired(
    champion_losses: Floats, challenger_losses: Floats, event_times: Sequence[datetime], gate: params.Gate
) -> Comparison:
    """Estimate how much less the challenger loses per row, with a Student-t interval over time blocks.

    Rows within one block share their weather, their backlog, their day; so the block is the unit. The mean over rows is
    the ratio of the blocks' sums to the blocks' sizes, and its standard error is that of the ratio estimator (Cochran,
    Sampling Techniques, 3rd ed., section 6.4), with blocks - 1 degrees of freedom. A percentile bootstrap over few blocks is
    too narrow: over 7 day blocks it promotes equal models in 6.3 % of cases at a nominal 2.5 %.

    Args:
        champion_losses: Shape `(n,)`, loss per row.
        challenger_losses: Shape `(n,)`, of the same rows.
        event_times: Shape `(n,)`, UTC. Blocks of `gate.block_hours` are counted from the earliest.
        gate: Metric, block and confidence.

    Returns:
        The gain is positive when the challenger is better. With fewer than two blocks its interval is unbounded.
    """
    difference = np.asarray(champion_losses) - np.asarray(challenger_losses)
    blocks = blocks_of(event_times, gate)
    sums = pd.Series(difference).groupby(blocks).agg(["sum", "count"])
    count, rows = len(sums), len(difference)
    gain = float(difference.mean()) if rows else 0.0
    half = float("inf")
    if count > 1:
        residuals = sums["sum"].to_numpy() - gain * sums["count"].to_numpy()
        error = float(np.sqrt(count / (count - 1) * (residuals**2).sum())) / rows
        half = float(stats.t.ppf((1 + gate.confidence) / 2, count - 1)) * error
    return Comparison(
        metric=gate.metric,
        rows=rows,
        blocks=count,
        champion_loss=float(np.mean(champion_losses)) if rows else 0.0,
        challenger_loss=float(np.mean(challenger_losses)) if rows else 0.0,
        gain=gain,
        lower=max(gain - half, -_UNBOUNDED),
        upper=min(gain + half, _UNBOUNDED),
        confidence=gate.confidence,
    )


_UNBOUNDED = 1e9
"""Stands for infinity, which JSON has no word for; no loss per row comes near it."""


def blocks_of(event_times: Sequence[datetime], gate: params.Gate) -> npt.NDArray[np.int64]:
    """Number the time block of each row, from 0, shape `(n,)`."""
    times = pd.DatetimeIndex(pd.to_datetime(pd.Series(list(event_times)), utc=True))
    if times.empty:
        return np.empty(0, dtype=np.int64)
    return np.asarray((times - times.min()) // timedelta(hours=gate.block_hours), dtype=np.int64)
