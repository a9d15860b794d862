"""The gate: from losses to a verdict that explains itself, for challengers and probes alike. Nothing turns it off."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab import params
from trimtab.contracts import Block, Check, Comparison, VerdictKind
from trimtab.evaluate.compare import UNBOUNDED, paired
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


def judge(
    comparison: Comparison, checks: Sequence[Check], gate: params.Gate, *, look: int, champion: str
) -> tuple[VerdictKind, str]:
    """Decide on a challenger, with one plain sentence.

    PROMOTE when the whole interval of the gain lies above `gate.min_gain` and every check holds. REJECT when no part
    of it does: without a margin, equal predictions are a REJECT. Else HOLD, for as long as there are looks left, and
    then REJECT. By `gate.ask`, ASK stands in for a PROMOTE, or for the REJECT of a challenger that looks better after
    the last look.
    """
    kind, why = _decide(comparison, checks, gate, look)
    enough = comparison.blocks >= gate.min_blocks and all(check.passed for check in checks)
    unsure = kind == "REJECT" and enough and comparison.gain > gate.min_gain
    if {"promotion": kind == "PROMOTE", "unsure": unsure, "never": False}[gate.ask]:
        kind, why = "ASK", f"{why}; gate.ask is {gate.ask}"
    return kind, f"{kind}: {_figures(comparison, champion, gate, look)}: {why}"


def _decide(
    comparison: Comparison, checks: Sequence[Check], gate: params.Gate, look: int
) -> tuple[VerdictKind, str]:
    undecided: VerdictKind = "HOLD" if look < gate.looks else "REJECT"
    if comparison.blocks < gate.min_blocks:
        return undecided, f"fewer blocks than the {gate.min_blocks} of gate.min_blocks"
    if comparison.upper <= gate.min_gain:
        return "REJECT", f"no part of the interval lies above gate.min_gain ({gate.min_gain:g})"
    if comparison.lower <= gate.min_gain:
        return undecided, f"the interval lies on both sides of gate.min_gain ({gate.min_gain:g})"
    failed = [check.sentence for check in checks if not check.passed]
    if failed:
        return undecided, f"the gain is there, but {'; '.join(failed)}"
    return "PROMOTE", f"the whole interval lies above gate.min_gain ({gate.min_gain:g})"


def _figures(comparison: Comparison, champion: str, gate: params.Gate, look: int) -> str:
    return (
        f"the challenger loses {abs(comparison.gain):.4f} {comparison.metric} "
        f"{'less' if comparison.gain >= 0 else 'more'} per row than {champion} "
        f"({comparison.challenger_loss:.4f} against {comparison.champion_loss:.4f}; gain "
        f"{_bound(comparison.lower)} to {_bound(comparison.upper)} over {comparison.blocks} blocks, "
        f"look {look} of {gate.looks}, which may err in {comparison.error:.1%})"
    )


def _bound(value: float) -> str:
    return "unbounded" if abs(value) >= UNBOUNDED else f"{value:+.4f}"
