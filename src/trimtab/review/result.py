"""What a pull request's model is worth: its best candidate against the champion, with the base branch's parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trimtab import params
from trimtab.contracts import Check, Comparison
from trimtab.evaluate import proof
from trimtab.evaluate.compare import is_better
from trimtab.evaluate.guard import Guarded, guard
from trimtab.evaluate.record import BASELINE, Record, scores_of, shadow
from trimtab.review.artifact import Artifact

Kind = Literal["BETTER", "OPEN", "WORSE", "FAILED", "WAIT"]
"""Better or worse beyond doubt; OPEN is neither; FAILED a check; WAIT with too little evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The comparison of one candidate with the champion, or with the baseline; `reason` says why it failed or waits."""

    kind: Kind
    candidate: str
    comparison: Comparison
    reason: str = ""
    checks: Sequence[Check] = ()


def compare(artifact: Artifact, parameters: params.Params) -> Result:
    """Compare the best candidate with the champion as the guard does, or with the baseline if there is no champion."""
    candidate = _best(artifact.record, parameters.gate)
    guarded = _guarded(artifact, candidate, parameters)
    if scores_of(artifact.record, shadow(candidate)):
        kind, reason = _judge(artifact, guarded, parameters.gate)
    else:
        kind, reason = "WAIT", "no model of this pull request could be scored; the errors are below"
    return Result(
        kind=kind, candidate=candidate, comparison=guarded.comparison, reason=reason, checks=guarded.checks
    )


def _best(record: Record, gate: params.Gate) -> str:
    """Return the candidate that gains most over the baseline, which has a score on every batch."""
    candidates = dict.fromkeys(name for scored in record for name in (*scored.shadows, *scored.newest))
    gains = {name: proof.with_other(record, name, BASELINE, gate).gain for name in candidates}
    return max(gains, key=gains.__getitem__, default="all")


def _guarded(artifact: Artifact, candidate: str, parameters: params.Params) -> Guarded:
    if artifact.champion is None:
        compared = proof.with_other(artifact.record, candidate, BASELINE, parameters.gate)
        return Guarded(kind="DEPLOY", reason="", comparison=compared)
    return guard(
        artifact.record,
        champion=artifact.rival,
        leader=candidate,
        gate=parameters.gate,
    )


def _judge(artifact: Artifact, guarded: Guarded, gate: params.Gate) -> tuple[Kind, str]:
    compared, champion = guarded.comparison, artifact.champion
    if compared.blocks < gate.min_blocks:
        reason = f"{compared.blocks} blocks of time to compare, gate.min_blocks is {gate.min_blocks}"
        if champion is None:
            return "WAIT", reason
        return "WAIT", (
            f"{reason}; only batches after {champion.trained_through:%Y-%m-%d} count, because {artifact.rival_name} was "
            f"trained on those before"
        )
    if compared.upper < 0:
        return "WORSE", ""
    if guarded.kind == "DEPLOY":
        return "BETTER" if is_better(compared, gate) else "OPEN", ""
    return "FAILED" if guarded.kind == "REJECT" else "WAIT", guarded.reason
