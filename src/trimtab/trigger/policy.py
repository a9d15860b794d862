"""The policy: what to do after each labelled batch, as a pure function of the record and of the deployments so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from trimtab import params
from trimtab.contracts import Comparison
from trimtab.evaluate import proof
from trimtab.evaluate.guard import Guarded, guard
from trimtab.evaluate.record import BASELINE, Record
from trimtab.evaluate.regret import Regret, regret

Action = Literal["DEPLOY", "SKIP", "WAIT", "ROLLBACK", "ASK"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers of the policy.

    Args:
        gate: Metric, error, smallest number of blocks, limits of the checks.
        regret: Regret that asks for a deployment, as a share of what is at stake on one batch.
        max_age_batches: Number of labelled batches since its deployment after which a champion is replaced anyway.
        guard_batches: Number of newest batches since the deployment that the guard looks at.
        watch_batches: Number of batches for which a new champion is compared with the former one.
        watch_error: Probability, over all of these batches, of rolling back a champion that is no worse.
    """

    gate: params.Gate
    regret: float = 0.03
    max_age_batches: int = 8
    guard_batches: int = 6
    watch_batches: int = 4
    watch_error: float = 0.05


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
        action: DEPLOY the model `target`, ROLLBACK to it, ASK a person, or leave the champion: WAIT while evidence is
            missing, else SKIP.
        reason: One sentence.
        leader: The leading candidate.
        regret: None without a champion.
        age: Number of labelled batches since the deployment, None without a champion.
    """

    action: Action
    reason: str
    leader: str
    target: str | None = None
    regret: Regret | None = None
    age: int | None = None
    guarded: Guarded | None = None
    comparison: Comparison | None = None


def decide(record: Record, tenures: Sequence[Tenure], leading: str, rules: Rules) -> PolicyDecision:
    """Decide after the last batch of the record.

    Args:
        record: All labelled batches, oldest first.
        tenures: All models that have been in Production, oldest first; the last one is there now.
        leading: The candidate that leads after the last batch, see `race.leaders`.
        rules: The numbers of the policy.
    """
    if not tenures:
        return _first(record, leading, rules)
    return _rollback(record, tenures, leading, rules) or _deployment(record, tenures, leading, rules)


def _first(record: Record, leading: str, rules: Rules) -> PolicyDecision:
    """Deploy the first champion as soon as it has proven to be better than the baseline."""
    proven = proof.better(record, leading, BASELINE, rules.gate)
    target = record[-1].newest.get(leading) if record else None
    if proven is None or target is None:
        reason = f"no proof yet that a model of {leading} is better than the baseline ({rules.gate.baseline})"
        return PolicyDecision(action="WAIT", reason=reason, leader=leading)
    reason = (
        f"first model: it loses {proven.gain:.4f} {proven.metric} less per row than the baseline (at least "
        f"{proven.lower:.4f})"
    )
    return PolicyDecision(action="DEPLOY", reason=reason, leader=leading, target=target, comparison=proven)


def _rollback(record: Record, tenures: Sequence[Tenure], leading: str, rules: Rules) -> PolicyDecision | None:
    """Go back to the former champion if the new one has proven to be worse; ask a person the second time."""
    tenure = tenures[-1]
    if tenure.former is None:
        return None
    worse = proof.worse_than_former(
        record[tenure.since :],
        tenure.model,
        tenure.former,
        rules.gate,
        batches=rules.watch_batches,
        error=rules.watch_error,
    )
    if worse is None:
        return None
    reason = (
        f"model {tenure.model} loses {worse.gain:.4f} {worse.metric} more per row than {tenure.former} before it (at "
        f"least {worse.lower:.4f})"
    )
    again = any(
        before.kind == "rollback" and len(record) - before.since <= rules.max_age_batches
        for before in tenures
    )
    return PolicyDecision(
        action="ASK" if again else "ROLLBACK",
        reason=(
            f"{reason}; there was a rollback already in the newest {rules.max_age_batches} batches"
            if again
            else reason
        ),
        leader=leading,
        target=tenure.former,
        comparison=worse,
    )


def _deployment(record: Record, tenures: Sequence[Tenure], leading: str, rules: Rules) -> PolicyDecision:
    tenure = tenures[-1]
    since = record[tenure.since :]
    loss = regret(record, since, champion=tenure.model, leader=leading)
    stays = PolicyDecision(
        action="SKIP",
        reason=f"regret {loss.share:+.1%} (limit {rules.regret:.1%}), age {len(since)} of {rules.max_age_batches} batches",
        leader=leading,
        regret=loss,
        age=len(since),
    )
    due, target = _due(loss, len(since), rules), record[-1].newest.get(leading)
    if due is None:
        return stays
    if target is None or target == tenure.model:
        return replace(stays, action="WAIT", reason=f"{due}; no newer model of {leading} is there")
    if tenure.kind == "rollback" and not proof.better(since, leading, tenure.model, rules.gate):
        return replace(
            stays, action="WAIT", reason=f"{due}; no proof since the rollback that a fresh model is better"
        )
    guarded = guard(
        since, champion=tenure.model, leader=leading, gate=rules.gate, batches=rules.guard_batches
    )
    return replace(
        stays,
        action="SKIP" if guarded.kind == "REJECT" else guarded.kind,
        reason=f"{due}; {guarded.reason}",
        target=target,
        guarded=guarded,
        comparison=guarded.comparison,
    )


def _due(loss: Regret, age: int, rules: Rules) -> str | None:
    if loss.at_stake and loss.share >= rules.regret:
        return (
            f"the champion has lost {loss.share:.1%} of a batch's loss more than a fresh model ({loss.total:+.4f} over "
            f"{len(loss.by_batch)} batches)"
        )
    if age >= rules.max_age_batches:
        return f"the champion is {age} batches old"
    return None
