"""Plays a record through a policy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trimtab.contracts import Score
from trimtab.evaluate.record import BASELINE, Record
from trimtab.replay.policies import Policy
from trimtab.trigger.policy import PolicyDecision, Tenure

_WRONG_OVER = 4
"""Number of batches after a deployment on which the new model is compared with the one that it replaced."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a policy did with a record.

    Args:
        policy: Its name.
        record: The record.
        decisions: What it said after each batch from `begin` on.
        tenures: The models in Production, oldest first.
        begin: Number of batches before the first decision.
        delay: Number of batches by which labels are late.
    """

    policy: str
    record: Record
    decisions: Sequence[PolicyDecision]
    tenures: Sequence[Tenure]
    begin: int
    delay: int

    def served(self, number: int) -> str:
        """Return the model that served the batch with this number; before the first one it is the baseline."""
        models = [tenure.model for tenure in self.tenures if tenure.since + self.delay <= number]
        return models[-1] if models else BASELINE

    @property
    def scores(self) -> list[Score]:
        """The scores of the served models, on each batch that the first decision could have had an effect on."""
        return [
            self.record[number].scores[self.served(number)]
            for number in range(self.begin + self.delay, len(self.record))
        ]

    @property
    def deployments(self) -> int:
        """Number of deployments after the first one."""
        return sum(tenure.kind == "deployment" for tenure in self.tenures[1:])

    @property
    def rollbacks(self) -> int:
        """Number of rollbacks."""
        return sum(tenure.kind == "rollback" for tenure in self.tenures)

    @property
    def wrong(self) -> int:
        """Number of deployed models that lost more than the one that they replaced, over the next four batches."""
        return sum(
            self._lost(new.since, new.model) > self._lost(new.since, old.model)
            for old, new in zip(self.tenures, self.tenures[1:], strict=False)
            if new.kind == "deployment"
        )

    def _lost(self, since: int, name: str) -> float:
        following = self.record[since + self.delay : since + self.delay + _WRONG_OVER]
        return sum(scored.scores[name].loss for scored in following)


def play(name: str, policy: Policy, record: Record, *, begin: int, delay: int = 0) -> Played:
    """Play a record through a policy.

    Args:
        name: Of the policy.
        policy: Asked after each batch.
        record: All batches.
        begin: Number of batches that the policy has at its first decision, at least 1.
        delay: Number of batches by which labels are late. A model that is deployed once the labels of batch n are known
            serves from batch n + 1 + delay on.
    """
    tenures: list[Tenure] = []
    decisions = []
    for length in range(begin, len(record) - delay + 1):
        decision = policy(record[:length], tenures)
        decisions.append(decision)
        tenures += _tenure(decision, tenures, length)
    return Played(policy=name, record=record, decisions=decisions, tenures=tenures, begin=begin, delay=delay)


def _tenure(decision: PolicyDecision, tenures: Sequence[Tenure], length: int) -> Iterable[Tenure]:
    if decision.action == "DEPLOY" and decision.evidence.target:
        former = tenures[-1].model if tenures else None
        yield Tenure(model=decision.evidence.target, since=length, former=former)
    elif decision.action == "ROLLBACK" and decision.evidence.target:
        yield Tenure(model=decision.evidence.target, since=length, kind="rollback")
