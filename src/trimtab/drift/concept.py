"""Concept drift: the champion's loss on a batch against what fresh models lose on batches they have not seen."""

from collections.abc import Mapping
from statistics import fmean, stdev

from trimtab.contracts import BatchScore, ConceptDrift
from trimtab.params import Params


def measure(score: BatchScore, reference_losses: Mapping[str, float], params: Params) -> ConceptDrift:
    """Say how many standard deviations a batch's loss lies above the reference batches'.

    The unit is the batch, not the row: batches differ in difficulty without any drift, and a test over rows takes each
    such difference for one. The reference is of fresh models, so a stale error is never learned as normal.

    Args:
        score: The champion on this batch.
        reference_losses: Mean loss by batch, each under a model that was fitted on the batches before it.
        params: Minimum of labels, of their coverage and of reference batches, below which the batch abstains.
    """
    losses = list(reference_losses.values())
    limits, abstained = params.drift.concept, None
    mean = fmean(losses) if losses else None
    sd = stdev(losses) if len(losses) > 1 else None
    if score.labelled < limits.min_labels:
        abstained = f"{score.labelled} labelled rows, drift.concept.min_labels is {limits.min_labels}"
    elif score.coverage < params.data.min_label_coverage:
        abstained = (
            f"{score.coverage:.0%} of {score.rows} rows labelled, data.min_label_coverage is "
            f"{params.data.min_label_coverage:.0%}"
        )
    elif len(losses) < limits.min_reference:
        abstained = f"{len(losses)} reference batches, drift.concept.min_reference is {limits.min_reference}"
    elif not sd:
        abstained = "the reference batches have equal losses, so nothing says how much batches vary"
    sigmas = (score.loss - mean) / sd if abstained is None and mean is not None and sd else None
    return ConceptDrift(score=score, reference_mean=mean, reference_sd=sd, sigmas=sigmas, abstained=abstained)
