"""Regret: how much the champion has lost compared with a fresh model since it was deployed."""

from statistics import fmean

from trimtab.contracts import Regret
from trimtab.evaluate.record import BASELINE, Record, comparable, model, scores_of, shadow

_NEWEST = 8
"""Number of batches over which the loss of a fresh model is averaged."""


def regret(record: Record, since: Record, *, champion: str, leader: str) -> Regret:
    """Compare the champion with the leader's shadow on each batch since the deployment.

    Both models are scored on the same rows, so seasons and other effects that make a batch hard for every model cancel
    out. The idea is that of paired learners (Bach and Maloof 2008): a model that is retrained is the measure of one that is
    not.

    Args:
        record: All batches, for the loss at stake.
        since: The batches since the deployment of the champion.
        champion: The model in Production.
        leader: The leading candidate.
    """
    both = comparable(since, model(champion), shadow(leader))
    ours, theirs = scores_of(both, model(champion)), scores_of(both, shadow(leader))
    return Regret(
        by_batch=tuple(ours[batch].loss - theirs[batch].loss for batch in ours),
        at_stake=loss_at_stake(record, leader),
    )


def loss_at_stake(record: Record, leader: str) -> float | None:
    """Return the mean loss of the leader's shadows over the newest batches, or what they gain over the baseline if more.

    With rare labels the loss of any model is small, and the loss of the baseline is hardly larger. A share of the larger
    of the two stays meaningful.

    Returns:
        Mean over at most the newest eight batches; None with fewer than two.
    """
    fresh = list(scores_of(record, shadow(leader)).items())[-_NEWEST:]
    if len(fresh) < 2:
        return None
    loss = fmean(score.loss for _, score in fresh)
    baseline = scores_of(record, model(BASELINE))
    gains = [baseline[batch].loss - score.loss for batch, score in fresh if batch in baseline]
    return max(loss, fmean(gains)) if gains else loss
