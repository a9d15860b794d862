"""From losses to a verdict: the one way through which challengers and probes go."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab import params
from trimtab.contracts import Block, Check, Comparison, VerdictKind
from trimtab.evaluate.compare import paired
from trimtab.evaluate.gate import judge
from trimtab.evaluate.looks import error_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A verdict and its figures."""

    kind: VerdictKind
    reason: str
    comparison: Comparison


def weigh(
    blocks: Sequence[Block], checks: Sequence[Check], gate: params.Gate, *, look: int, champion: str
) -> Weighed:
    """Compare over all blocks of this look and the looks before, at this look's share of the error, and judge."""
    comparison = paired(blocks, gate, error=error_of(look, gate))
    kind, reason = judge(comparison, checks, gate, look=look, champion=champion)
    return Weighed(kind=kind, reason=reason, comparison=comparison)
