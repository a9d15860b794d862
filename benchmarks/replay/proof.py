"""Proof that one model is better than another, where a deployment or a rollback demands it."""

from benchmarks.replay.record import BASELINE, Record, blocks, comparable, model, shadow
from benchmarks.replay.spending import error_of_look
from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import paired

_FEWEST = 2
"""Smallest number of batches for a proof."""


def better_than_baseline(record: Record, candidate: str, gate: params.Gate) -> Comparison | None:
    """Compare a candidate's shadows with the baseline on all batches; None without a proof that they are better.

    Nothing serves before the first champion, so each batch asks again and may spend the whole error.
    """
    return _better(record, candidate, BASELINE, gate)


def better_than_champion(
    since: Record, candidate: str, champion: str, gate: params.Gate
) -> Comparison | None:
    """Compare a candidate's shadows with the champion; None without a proof that they are better."""
    return _better(since, candidate, champion, gate)


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
        error=error_of_look(len(watched), of=batches, error=error),
    )
    return compared if compared.blocks >= gate.min_blocks and compared.lower > 0 else None


def _better(record: Record, candidate: str, other: str, gate: params.Gate) -> Comparison | None:
    both = comparable(record, model(other), shadow(candidate))
    compared = paired(blocks(both, model(other), shadow(candidate)), gate, error=gate.error)
    proven = len(both) >= _FEWEST and compared.blocks >= gate.min_blocks and compared.lower > 0
    return compared if proven else None
