"""The guard: may the leader's newest shadow replace the champion?

A refit of the same recipe on newer data is usually slightly better, but the improvement is too small to prove within a few
weeks. So the guard demands no proof: it stops a refit only when the evidence shows that it is worse, or when a check fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from trimtab import params
from trimtab.contracts import Check, Comparison
from trimtab.evaluate.checks import check_all
from trimtab.evaluate.compare import paired
from trimtab.evaluate.record import Record, blocks, comparable, model, shadow

_NEWEST = 8
"""Number of distances of which the median says how far apart two successive models usually are."""
_FEWEST = 2
"""Smallest number of them."""
_SMALL_DISTANCE = 0.15
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


def guard(since: Record, *, champion: str, leader: str, gate: params.Gate, earlier: Record = ()) -> Guarded:
    """Judge the leader's newest shadow by the leader's shadows that were scored on the newest batches since the deployment.

    The evidence is about earlier models. So a model that lies unusually far from the one before waits for one batch, on
    which it is scored itself, and from then on only what came after it is evidence.

    Args:
        since: The batches since the deployment of the champion, oldest first.
        champion: The model in Production.
        leader: The leading candidate.
        gate: Metric, error, smallest number of blocks, and the limits of the checks.
        earlier: The batches before, which say how far apart two successive models usually are.
    """
    jumps = _jumps([*earlier, *since], leader)[len(earlier) :]
    begin = max((place + 1 for place, jumped in enumerate(jumps[:-1]) if jumped), default=0)
    both = comparable(since[begin:], model(champion), shadow(leader))[-params.GUARD_BATCHES :]
    compared = paired(blocks(both, model(champion), shadow(leader)), gate, error=gate.error)
    examined = since[-1].examined.get(leader) if since else None
    checks = check_all(both, model(champion), shadow(leader), gate, examined)
    far = examined.distance if examined and jumps[-1] else None
    kind, reason = _judge(compared, checks, gate, far)
    return Guarded(kind=kind, reason=reason, comparison=compared, checks=checks)


def _judge(
    compared: Comparison, checks: Sequence[Check], gate: params.Gate, far: float | None
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
    if far is not None:
        return "WAIT", (
            f"the newest fresh model is {far:.2f} away from the one before; it is scored on one more batch first"
        )
    return "DEPLOY", (
        f"the fresh models lose {abs(compared.gain):.4f} {gate.metric} {'less' if compared.gain >= 0 else 'more'} per row "
        f"({compared.blocks} blocks)"
    )


def _jumps(record: Record, leader: str) -> list[bool]:
    """Say of each batch whether the model that was fitted through it is the first one unusually far from the one before."""
    distances: list[float] = []
    far = [False]
    for scored in record:
        examined = scored.examined.get(leader)
        distance = examined.distance if examined else None
        usual = distances[-_NEWEST:]
        far.append(
            distance is not None
            and len(usual) >= _FEWEST
            and distance > max(_SMALL_DISTANCE, _FAR * median(usual))
        )
        distances += [] if distance is None else [distance]
    return [now and not before for before, now in pairwise(far)]
