"""Alarms for people, with a stated false-alarm rate: a hard batch, and a stale champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import special

_FEWEST = 8
"""Smallest number of batches of history: with fewer the limit lies so far out that nothing reaches it."""
_MOST = 26
"""Largest number: an older batch says little about what is usual now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A value beside its limit.

    Args:
        value: Of the newest batch.
        limit: The value that a batch like those before exceeds with the stated probability; None with too short a
            history.
    """

    value: float
    limit: float | None

    @property
    def raised(self) -> bool:
        """Whether the value is above its limit."""
        return self.limit is not None and self.value > self.limit


def alarm(history: Sequence[float], value: float, *, rate: float) -> Alarm:
    """Compare the value of a batch with those of the batches before.

    A batch is *hard* if the fresh model's loss is above its limit, and the champion is *stale* if the difference between
    its loss and the fresh model's is. The limit is that of a prediction interval for one further value (Hahn and Meeker,
    Statistical Intervals, section 4.2). A fixed number of standard deviations of six values raises a false alarm fourteen
    times as often as its normal quantile suggests.

    Args:
        history: The values of the batches before, oldest first. At least 8 are needed, and the newest 26 are used.
        value: That of the newest batch.
        rate: Probability of a false alarm, per batch, if batches are independent and normal.
    """
    newest = history[-_MOST:]
    count = len(newest)
    if count < _FEWEST:
        return Alarm(value=value, limit=None)
    quantile = float(-special.stdtrit(count - 1, rate))
    return Alarm(value=value, limit=fmean(newest) + quantile * (1 + 1 / count) ** 0.5 * stdev(newest))
