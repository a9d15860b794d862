"""Comparisons that a deployment, a rollback or a new recipe demands a proof from."""

from collections.abc import Iterator

from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import is_better, paired
from trimtab.evaluate.looks import error_of
from trimtab.evaluate.record import Record, blocks, comparable, model, shadow


def with_other(record: Record, candidate: str, other: str, gate: params.Gate) -> Comparison:
    """Compare a candidate's shadows with one model on all batches.

    It may be asked again after each batch, and may spend the whole error each time: nothing serves before the first
    champion, and after a rollback the champion has proven itself.
    """
    return paired(blocks(record, model(other), shadow(candidate)), gate, error=gate.error)


def worse_than_former(
    since: Record, champion: str, former: str, gate: params.Gate, *, batches: int, error: float
) -> Comparison | None:
    """Compare a new champion with the one before it; None without a proof that the new one is worse.

    Each batch since the deployment is one look, and the error is spent over the looks. After `batches` batches the watch
    ends.
    """
    watched = comparable(since, model(former), model(champion))
    if not watched or len(watched) > batches:
        return None
    compared = paired(
        blocks(watched, model(champion), model(former)),
        gate,
        error=error_of(len(watched), first=1, last=batches, error=error),
    )
    return compared if compared.blocks >= gate.min_blocks and compared.lower > 0 else None


def looks_of_trial(
    record: Record, candidate: str, leader: str, gate: params.Gate, *, length: int, first: int, error: float
) -> Iterator[Comparison]:
    """Yield the comparison of a candidate of a new recipe with the leader at each look, until it has proven to be better.

    There is one look per batch, and the error is spent over all looks. What was proven at one look stays proven. Evidence is
    that of the candidate's shadows, which are fitted before the batches that they are scored on. When the recipe enters, its
    shadows on the newest batches are fitted after the fact, each on what came before its batch.

    Args:
        record: The batches of the trial, those that were fitted after the fact included.
        candidate: The new recipe.
        leader: What it has to be better than.
        gate: Metric, correlation, smallest number of blocks.
        length: Number of batches after which the trial is over.
        first: Number of batches at the first look, at least 2.
        error: Probability that a candidate that is no better is proven at any look.
    """
    both = comparable(record, shadow(leader), shadow(candidate))[:length]
    for batches in range(first, len(both) + 1):
        share = error_of(batches, first=first, last=length, error=error)
        compared = paired(blocks(both[:batches], shadow(leader), shadow(candidate)), gate, error=share)
        yield compared
        if is_better(compared, gate):
            return
