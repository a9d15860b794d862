"""Alarms for people: a batch that is hard even for a fresh model, and a champion that has fallen behind fresh models.

They ask for a look at the data or at the world. Deployments follow from regret and age.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy import special

from trimtab.evaluate.record import Record, comparable, in_production, scores_of, shadow

NEWEST = 26
"""Largest number of earlier batches: half a year of weeks. With more, the limit would hardly fall but span the seasons.

At the rate of .00135 the limit lies 4.8 standard deviations above the mean of 8 batches, 3.4 with 26 and 3.2 with 52.
"""
FEWEST = 8
"""Smallest number of earlier values. Of six, the limit would be 6.0 standard deviations, which hardly anything exceeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A value of the newest batch, and the limit that `earlier` values gave, None if they are too few.

    `of` says what is measured.
    """

    of: str
    value: float
    limit: float | None
    earlier: int

    @property
    def fires(self) -> bool:
        """Whether the value is above its limit."""
        return self.limit is not None and self.value > self.limit

    @property
    def sentence(self) -> str:
        """The value and its limit, for people."""
        history = f"not enough history yet, {self.earlier} of {FEWEST} batches"
        if self.limit is not None:
            history = f"limit {self.limit:.5f}, from {self.earlier} earlier batches"
        return f"{self.of} {self.value:.5f} ({history})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """The alarms of one batch.

    Args:
        hard: On the loss of the leader's shadow, None if it has no score.
        stale: On what the champion lost more than the leader's shadow, None if they cannot be compared: the champion has no
            score, or both are the same model, as on the first batch after a deployment.
    """

    hard: Alarm | None = None
    stale: Alarm | None = None

    @property
    def firing(self) -> dict[str, Alarm]:
        """The alarms that fire, by name."""
        named = {"hard batch": self.hard, "stale model": self.stale}
        return {name: alarm for name, alarm in named.items() if alarm and alarm.fires}


def alarms(record: Record, *, leader: str, rate: float) -> Alarms:
    """Compare the newest batch with those before it, by `prediction_limit`.

    A champion rarely serves for eight batches, so its differences are compared with those of all champions of the record,
    each on the batches on which it served. Thus a stale champion is one that lost unusually much for a model in Production.
    A champion that is no worse than the fresh model is never stale.

    Args:
        record: The batches, oldest first. The last one is judged by at most `NEWEST` before it.
        leader: The leading candidate.
        rate: Probability of a false alarm, of each of the two.
    """
    newest = record[-NEWEST - 1 :]
    last, fresh = newest[-1].batch if newest else "", scores_of(newest, shadow(leader))
    if last not in fresh:
        return Alarms()
    # Another metric is another scale, so the history begins again with it.
    metric = fresh[last].metric
    losses = {batch: score.loss for batch, score in fresh.items() if score.metric == metric}
    served = scores_of(comparable(newest, in_production, shadow(leader)), in_production)
    excess = {batch: score.loss - losses[batch] for batch, score in served.items() if batch in losses}
    return Alarms(
        hard=_alarm("loss of a fresh model", losses, last, rate),
        stale=_alarm("what the champion loses more than a fresh model:", excess, last, rate),
    )


def _alarm(of: str, values: Mapping[str, float], batch: str, rate: float) -> Alarm | None:
    if batch not in values:
        return None
    *earlier, newest = values.values()
    return Alarm(of=of, value=newest, limit=prediction_limit(earlier, rate), earlier=len(earlier))


def prediction_limit(earlier: Sequence[float], rate: float) -> float | None:
    """Return what one further value exceeds with probability `rate`, `mean + t(n-1; 1-rate) * sqrt(1 + 1/n) * sd`.

    It is the upper bound of a one-sided prediction interval to contain a single future observation (Hahn and Meeker,
    Statistical Intervals). `mean + 3 sd` would be exceeded in .019 of cases with six earlier values and in .013 with eight,
    instead of .00135.

    The rate holds for independent normal values. Simulated at .00135 with 8 to 26 values: .002 when successive values have
    a correlation of .5, .004 to .006 with tails like those of t with 5 degrees of freedom, .008 to .010 with 3, and .015 to
    .017 with log-normal values (log sd .5).

    Returns:
        At least 0, because a loss or a difference below it is no alarm; None with fewer than `FEWEST` values.
    """
    count = len(earlier)
    if count < FEWEST:
        return None
    quantile = abs(float(special.stdtrit(count - 1, rate)))
    return max(0.0, fmean(earlier) + quantile * sqrt(1 + 1 / count) * stdev(earlier))
