"""The guard: may the leader's newest shadow replace the champion?

A refit of the same recipe on newer data is usually slightly better, but the improvement is too small to prove within a few
weeks. So the guard demands no proof: it stops a refit only when the evidence shows that it is worse, or when a check fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from trimtab import params
from trimtab.contracts import Check, Comparison
from trimtab.evaluate.checks import check_all
from trimtab.evaluate.compare import paired
from trimtab.evaluate.record import Record, blocks, comparable, model, shadow

_NEWEST = 8
"""Number of distances of which the median says how far apart two successive models usually are."""
_USUAL_DISTANCE = 0.15
"""Mean distance between the predictions of two successive models that is never conspicuous."""
_FAR = 3.0
"""How many times the median distance is conspicuous."""


Kind = Literal["DEPLOY", "REJECT", "WAIT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What the guard says, with its evidence."""

    kind: Kind
    reason: str
    comparison: Comparison
    checks: Sequence[Check] = ()


def guard(since: Record, *, champion: str, leader: str, gate: params.Gate, batches: int) -> Guarded:
    """Judge the leader's newest shadow by the leader's shadows that were scored since the deployment.

    Args:
        since: The batches since the deployment of the champion, oldest first.
        champion: The model in Production.
        leader: The leading candidate.
        gate: Metric, error, smallest number of blocks, and the limits of the checks.
        batches: Number of newest batches that count as evidence.
    """
    both = comparable(since, model(champion), shadow(leader))[-batches:]
    compared = paired(blocks(both, model(champion), shadow(leader)), gate, error=gate.error)
    examined = since[-1].examined.get(leader) if since else None
    checks = check_all(both, model(champion), shadow(leader), gate, examined)
    kind, reason = _judge(since, compared, checks, leader, gate)
    return Guarded(kind=kind, reason=reason, comparison=compared, checks=checks)


def _judge(
    since: Record, compared: Comparison, checks: Sequence[Check], leader: str, gate: params.Gate
) -> tuple[Kind, str]:
    if compared.blocks < gate.min_blocks:
        return "WAIT", (
            f"{compared.blocks} blocks of evidence since the last deployment, gate.min_blocks is {gate.min_blocks}"
        )
    if compared.upper < 0:
        return "REJECT", (
            f"the fresh models are worse beyond doubt: they lose at least {-compared.upper:.4f} {gate.metric} more "
            f"per row ({compared.blocks} blocks)"
        )
    failed = [check.sentence for check in checks if not check.passed]
    if failed:
        return "REJECT", "; ".join(failed)
    if _unusual(since, leader):
        return "WAIT", (
            f"the newest fresh model is {since[-1].examined[leader].distance:.2f} away from the one before; it is scored "
            f"on one more batch first"
        )
    return "DEPLOY", (
        f"the fresh models lose {abs(compared.gain):.4f} {gate.metric} {'less' if compared.gain >= 0 else 'more'} per row "
        f"({compared.blocks} blocks)"
    )


def _unusual(record: Record, leader: str) -> bool:
    """Say whether the newest model lies unusually far from the one before, and the one before did not.

    The evidence is about earlier models. After one batch of waiting it is about this one as well, and decides.
    """
    examined = (scored.examined.get(leader) for scored in record)
    distances = [each.distance for each in examined if each is not None and each.distance is not None]
    return _far(distances) and not _far(distances[:-1])


def _far(distances: Sequence[float]) -> bool:
    *before, newest = distances or [0.0]
    return newest > max(_USUAL_DISTANCE, _FAR * median(before[-_NEWEST:] or [0.0]))
