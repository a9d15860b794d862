"""Policies to replay. A policy is a function that says after each labelled batch what to do."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from trimtab.contracts import Evidence
from trimtab.evaluate.record import Record
from trimtab.params import Params
from trimtab.trigger.policy import PolicyDecision, Tenure, decide

Policy = Callable[[Record, Sequence[Tenure]], PolicyDecision]
"""Takes the record through the newest batch, and all deployments so far; see `policy.decide`."""


def trimtab(params: Params, leaders: Sequence[str]) -> Policy:
    """Return the policy of the loop itself; `leaders` are the candidates that lead after each batch of the record."""
    return lambda record, tenures: decide(record, tenures, leaders[len(record) - 1], params)


def changed(
    params: Params,
    *,
    windows: Iterable[int | None] | None = None,
    regret: float | None = None,
    max_age_batches: int | None = None,
) -> Params:
    """Return the parameters with other windows, another `trigger.regret` or `trigger.max_age_batches`; None keeps them."""
    trigger = {"regret": regret, "max_age_batches": max_age_batches}
    train = {} if windows is None else {"windows": ["all" if each is None else each for each in windows]}
    return params.model_copy(
        update={
            "train": params.train.model_copy(update=train),
            "trigger": params.trigger.model_copy(
                update={name: number for name, number in trigger.items() if number is not None}
            ),
        }
    )


def age_only(params: Params, leaders: Sequence[str]) -> Policy:
    """Return the policy of the loop without regret: it asks for a deployment when the champion is old enough."""
    return trimtab(changed(params, regret=float("inf")), leaders)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Deploys the leader's newest model, ungated, after the batches with these numbers.

    Args:
        leaders: The candidates that lead after each batch of the record.
        after: Numbers of labelled batches, counted from the beginning of the record. The first model is always deployed.
    """

    leaders: Sequence[str]
    after: Collection[int]

    def __call__(self, record: Record, tenures: Sequence[Tenure]) -> PolicyDecision:
        """Deploy if it is time."""
        leading = self.leaders[len(record) - 1]
        target = record[-1].newest.get(leading)
        if target and (not tenures or len(record) in self.after):
            evidence = Evidence(leader=leading, target=target)
            return PolicyDecision(action="DEPLOY", reason="scheduled", evidence=evidence)
        return PolicyDecision(action="SKIP", reason="not scheduled", evidence=Evidence(leader=leading))


def every(leaders: Sequence[str], batches: int) -> Schedule:
    """Return a schedule that deploys after each `batches` batches."""
    return Schedule(leaders=leaders, after=range(0, len(leaders) + 1, batches))


def never(leaders: Sequence[str]) -> Schedule:
    """Return the policy that keeps the first model."""
    return Schedule(leaders=leaders, after=())


def equally_often(leaders: Sequence[str], deployments: int, *, begin: int, end: int) -> Schedule:
    """Return the schedule with as many deployments, spread evenly over the batches from `begin` to `end`.

    >>> sorted(equally_often(["all"] * 10, 3, begin=2, end=10).after)
    [4, 6, 8]
    """
    step = (end - begin) / (deployments + 1)
    after = {round(begin + step * number) for number in range(1, deployments + 1)}
    return Schedule(leaders=leaders, after=after)
