"""The gate: a pure function that explains itself. Nothing turns it off."""

from collections.abc import Sequence
from datetime import datetime

from trimtab import params
from trimtab.contracts import BatchRef, BatchScore, Comparison, Verdict, VerdictKind


def judge(
    comparison: Comparison,
    gate: params.Gate,
    *,
    judged_on: Sequence[BatchRef],
    champion: str,
    challenger_scores: Sequence[BatchScore],
    champion_scores: Sequence[BatchScore],
    cutoff: datetime,
) -> Verdict:
    """Decide on a challenger: PROMOTE, HOLD or REJECT, with one plain sentence.

    PROMOTE when the whole interval of the gain lies above `gate.min_gain`; REJECT when it does not reach above it, so
    equal predictions are a REJECT; HOLD when it lies on both sides, or there are fewer than `gate.min_blocks` blocks.
    """
    kind, why = _decide(comparison, gate)
    return Verdict(
        kind=kind,
        reason=f"{kind}: {_figures(comparison, champion)}: {why}",
        comparison=comparison,
        judged_on=tuple(judged_on),
        champion=champion,
        challenger_scores=tuple(challenger_scores),
        champion_scores=tuple(champion_scores),
        cutoff=cutoff,
    )


def _decide(comparison: Comparison, gate: params.Gate) -> tuple[VerdictKind, str]:
    if comparison.blocks < gate.min_blocks:
        return "HOLD", f"fewer blocks than the {gate.min_blocks} of gate.min_blocks"
    if comparison.lower > gate.min_gain:
        return "PROMOTE", f"the whole interval lies above gate.min_gain ({gate.min_gain:g})"
    if comparison.upper <= gate.min_gain:
        return "REJECT", f"no part of the interval lies above gate.min_gain ({gate.min_gain:g})"
    return "HOLD", f"the interval lies on both sides of gate.min_gain ({gate.min_gain:g})"


def _figures(comparison: Comparison, champion: str) -> str:
    size = abs(comparison.gain)
    return (
        f"the challenger loses {size:.4f} {comparison.metric} {'less' if comparison.gain >= 0 else 'more'} per row than "
        f"{champion} ({comparison.challenger_loss:.4f} against {comparison.champion_loss:.4f}; gain "
        f"{comparison.lower:+.4f} to {comparison.upper:+.4f} at {comparison.confidence:.0%} over {comparison.blocks} blocks)"
    )
