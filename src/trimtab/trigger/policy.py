"""The policy: what to do after each labelled batch, as a pure function of the record and of the deployments so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trimtab.contracts import Action, Comparison, Evidence, Regret, Source
from trimtab.evaluate import proof
from trimtab.evaluate.compare import bound_text, is_better
from trimtab.evaluate.guard import guard
from trimtab.evaluate.race import lead
from trimtab.evaluate.record import BASELINE, Record
from trimtab.evaluate.regret import regret
from trimtab.params import Params

Due = Literal["first", "regret", "age", "watch"]
"""Why a batch alone asks for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """The time of one model in Production.

    Args:
        model: The model.
        since: Number of labelled batches when it came.
        former: The model that it replaced, None for the first one and after a rollback.
        kind: How it came.
    """

    model: str
    since: int
    former: str | None = None
    kind: Literal["deployment", "rollback"] = "deployment"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDecision:
    """What the policy decides after a batch, and on what.

    Args:
        action: DEPLOY the model `evidence.target`, ROLLBACK to it, ASK a person whether to go back to it, or leave the
            champion: WAIT while evidence is missing, else SKIP.
        reason: One sentence.
        evidence: The figures.
        due: Why the batch alone asks for something, None if it does not.
    """

    action: Action
    reason: str
    evidence: Evidence
    due: Due | None = None


def decide(
    record: Record, tenures: Sequence[Tenure], leading: str, params: Params, source: Source = "schedule"
) -> PolicyDecision:
    """Decide after the last batch of the record.

    Args:
        record: The labelled batches, oldest first.
        tenures: All models that have been in Production, oldest first; the last one is there now.
        leading: The candidate that leads after the last batch, see `race.leaders`.
        params: The numbers of the policy.
        source: Who asks: an alert and drift need any regret, a person none, others regret or age.
    """
    if not tenures:
        return _against_baseline(record, leading, params, "first model")
    if record[tenures[-1].since :] and tenures[-1].model not in record[-1].scores:
        cause = record[-1].failed.get(tenures[-1].model, f"no score on batch {record[-1].batch}")
        why = f"the champion has {cause}, so the baseline is the measure"
        return _against_baseline(record, leading, params, why)
    return _rollback(record, tenures, leading, params) or _deployment(
        record, tenures, leading, params, source
    )


def challenge(
    record: Record, tenures: Sequence[Tenure], candidate: str, leading: str, params: Params
) -> PolicyDecision:
    """Decide whether to deploy the newest model of a candidate that a person has chosen.

    Unless it leads anyway, it must have proven that it is better than the leading candidate, as in a race.
    """
    if candidate != leading:
        compared = lead(record, candidate, leading, params)
        if not is_better(compared, params.gate):
            reason = f"no proof that {candidate} is better than {leading}, which leads: {_difference(compared, params)}"
            evidence = Evidence(leader=candidate, comparison=compared)
            return PolicyDecision(action="SKIP", reason=reason, evidence=evidence)
    return decide(record, tenures, candidate, params, "ui")


def never_decide(record: Record, params: Params) -> str | None:
    """Say which comparisons can never decide, because the batches have too few blocks of time; None if all can.

    How many blocks a batch has follows from its length, and from when its rows happened: blocks without rows do not count.
    """
    blocks = max((len(score.blocks) for scored in record for score in scored.scores.values()), default=0)
    never = params.never_decide(blocks) if blocks else {}
    if not never:
        return None
    return (
        f"the batches have at most {blocks} {'block' if blocks == 1 else 'blocks'} of time each, so these never have the "
        f"{params.gate.min_blocks} of gate.min_blocks: "
        + ", ".join(f"{name} ({number} batches)" for name, number in never.items())
        + ". Lower gate.min_blocks or gate.block_hours, or cut longer batches"
    )


def _against_baseline(record: Record, leading: str, params: Params, why: str) -> PolicyDecision:
    """Deploy a model as soon as it has proven to be better than the baseline.

    So it is with the first champion, and when the champion cannot be loaded or cannot read the data contract.
    """
    compared = proof.with_other(record, leading, BASELINE, params.gate)
    target = record[-1].newest.get(leading) if record else None
    evidence = Evidence(leader=leading, target=target, comparison=compared)
    if target is None or not is_better(compared, params.gate):
        reason = (
            f"{why}: no proof yet that a model of {leading} is better than the baseline ({params.gate.baseline}): "
            f"{_difference(compared, params)}; more labelled batches, better features or another estimator can change that"
        )
        return PolicyDecision(action="WAIT", reason=reason, evidence=evidence, due="first")
    reason = (
        f"{why}: it loses {compared.gain:.4f} {compared.metric} less per row than the baseline (at least "
        f"{compared.lower:.4f})"
    )
    return PolicyDecision(action="DEPLOY", reason=reason, evidence=evidence, due="first")


def _difference(compared: Comparison, params: Params) -> str:
    return (
        f"its {compared.metric} per row differs by {-compared.gain:+z.4f} (negative is better), at most "
        f"{bound_text(-compared.lower)} ({compared.blocks} of at least {params.gate.min_blocks} blocks)"
    )


def _rollback(
    record: Record, tenures: Sequence[Tenure], leading: str, params: Params
) -> PolicyDecision | None:
    """Go back to the former champion if the new one has proven to be worse; ask a person the second time."""
    tenure = tenures[-1]
    if tenure.former is None:
        return None
    worse = proof.worse_than_former(
        record[tenure.since :],
        tenure.model,
        tenure.former,
        params.gate,
        batches=params.watch.batches,
        error=params.watch.error,
    )
    if worse is None:
        return None
    reason = (
        f"the new champion loses {worse.gain:.4f} {worse.metric} more per row than the one before it (at least "
        f"{worse.lower:.4f}, {worse.blocks} blocks)"
    )
    again = any(
        before.kind == "rollback" and len(record) - before.since <= params.trigger.max_age_batches
        for before in tenures
    )
    return PolicyDecision(
        action="ASK" if again else "ROLLBACK",
        reason=(
            f"{reason}; there was a rollback already in the newest {params.trigger.max_age_batches} batches"
            if again
            else reason
        ),
        evidence=Evidence(leader=leading, target=tenure.former, comparison=worse),
        due="watch",
    )


def _deployment(
    record: Record, tenures: Sequence[Tenure], leading: str, params: Params, source: Source
) -> PolicyDecision:
    tenure, limits = tenures[-1], params.trigger
    since = record[tenure.since :]
    loss = regret(record, since, champion=tenure.model, leader=leading)
    target = record[-1].newest.get(leading) if record else None
    stays = PolicyDecision(
        action="SKIP",
        reason=f"regret {loss.share:+.1%} (limit {limits.regret:.1%}), age {len(since)} of {limits.max_age_batches} batches",
        evidence=Evidence(leader=leading, target=target, regret=loss, age=len(since)),
        due=_due(loss, len(since), params),
    )
    why = _why(stays, loss, len(since), source)
    if why is None:
        return stays
    if target is None or target == tenure.model:
        return replace(stays, action="WAIT", reason=f"{why}; no newer model of {leading} is there")
    if tenure.kind == "rollback":
        proven = proof.with_other(since, leading, tenure.model, params.gate)
        if not is_better(proven, params.gate):
            return replace(
                stays,
                action="WAIT",
                reason=f"{why}; no proof since the rollback that a fresh model is better",
            )
    guarded = guard(
        since,
        champion=tenure.model,
        leader=leading,
        gate=params.gate,
        earlier=record[: tenure.since],
    )
    return replace(
        stays,
        action="SKIP" if guarded.kind == "REJECT" else guarded.kind,
        reason=f"{why}; {guarded.reason}",
        evidence=replace(stays.evidence, comparison=guarded.comparison, checks=tuple(guarded.checks)),
    )


def _due(loss: Regret, age: int, params: Params) -> Due | None:
    if loss.at_stake and loss.share >= params.trigger.regret:
        return "regret"
    return "age" if age >= params.trigger.max_age_batches else None


def _why(stays: PolicyDecision, loss: Regret, age: int, source: Source) -> str | None:
    """Say why a deployment is asked for, None if it is not."""
    if stays.due == "regret" or (source in ("alert", "drift") and loss.total > 0):
        return (
            f"the champion has lost {loss.share:.1%} of a batch's loss more than a fresh model ({loss.total:+.4f} over "
            f"{len(loss.by_batch)} {'batch' if len(loss.by_batch) == 1 else 'batches'})"
        )
    if stays.due == "age":
        return f"the champion is {age} batches old"
    return f"a person asks ({stays.reason})" if source == "ui" else None
