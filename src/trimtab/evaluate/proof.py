"""Comparisons that a deployment or a rollback demands a proof from."""

from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate.compare import paired
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
