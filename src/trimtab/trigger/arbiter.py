"""One pure function from (requests, state, policy) to an answer with its sentence for each request."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trimtab.contracts import Action, Evidence
from trimtab.ledger import Request
from trimtab.ledger.state import OrdersInForce
from trimtab.params import Params
from trimtab.trigger.policy import PolicyDecision

RunOutcome = Literal["concluded", "failed", "lost"]
Policy = Callable[[Request], PolicyDecision]
"""What the policy says to a request, see `trigger.policy`."""

PEOPLE = ("ui", "schedule")
"""Sources that need not wait: a person is told at once, and a schedule comes again."""
ALERTS = ("alert", "drift")
"""Sources that ask until the champion is replaced: when they come, no fresh model has seen what they are about."""
MONTH_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the arbiter needs to know of the loop besides what the policy looks at.

    `champion` is the version in Production, `former` the one that it replaced. `in_flight` is who holds the lease.
    `deployments_in_month` counts those of the newest 30 days of event time, `runs_in_hour` the runs by the system clock.
    `unloadable` says what is wrong with the model that a rollback would go back to. `failing` says, by request, why its runs
    fail.
    """

    batches: int
    champion: str | None
    in_flight: str | None = None
    deployments_in_month: int = 0
    runs_in_hour: int = 0
    orders: OrdersInForce = OrdersInForce(paused=None, pinned=None, blocked={})
    former: str | None = None
    unloadable: str | None = None
    failing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The arbiter's answer to one request, with its sentence; `evidence` is None where the policy was not asked."""

    request: str
    action: Action
    reason: str
    evidence: Evidence | None = None


def arbitrate(waiting: Sequence[Request], state: State, params: Params, policy: Policy) -> list[Decision]:
    """Answer each waiting request: rollbacks first, then oldest first; at most one of them starts something."""
    decisions: list[Decision] = []
    started: Request | None = None
    for request in sorted(waiting, key=lambda each: (each.source != "watch", each.id)):
        action, reason, evidence = _answer(request, state, params, policy, started)
        if action in ("DEPLOY", "ROLLBACK", "ASK"):
            started = request
        decisions.append(Decision(request=request.key, action=action, reason=reason, evidence=evidence))
    return decisions


def _answer(
    request: Request, state: State, params: Params, policy: Policy, started: Request | None
) -> tuple[Action, str, Evidence | None]:
    held_back = next(_held_back(request, state, params, started), None)
    if held_back is not None:
        return *held_back, None
    if request.window_batches is not None:
        reason = f"a person chose a training window of {request.window_batches} batches: {request.reason}"
        return "DEPLOY", reason, None
    decided = policy(request)
    action, reason, evidence = decided.action, decided.reason, decided.evidence
    if request.dry_run:
        return "SKIP", f"dry run: {action}: {reason}", evidence
    if request.source == "watch" and action == "DEPLOY":
        no_longer = "the champion is no longer worse beyond doubt than the version before it"
        return "SKIP", f"{no_longer}; {reason}", evidence
    obstacle = next(_obstacles(action, state), None)
    if obstacle is not None:
        return "WAIT", obstacle, evidence
    if action in ("SKIP", "WAIT"):
        action = "SKIP" if request.source in PEOPLE else "WAIT" if request.source in ALERTS else action
    return action, reason, evidence


def _held_back(
    request: Request, state: State, params: Params, started: Request | None
) -> Iterator[tuple[Action, str]]:
    """Yield why the policy is not asked, and what is answered instead; the first of these reasons counts."""
    orders = state.orders
    later: Action = "SKIP" if request.source in PEOPLE else "WAIT"
    if request.champion is not None and request.champion != state.champion:
        yield "SKIP", f"it was about version {request.champion}; version {state.champion} is champion by now"
    if started is not None:
        if (request.window_batches, request.dry_run) != (started.window_batches, started.dry_run):
            yield "WAIT", f"the request {started.key} comes first, which asks for something else"
        yield "SKIP", f"joined what the request {started.key} started"
    if request.key in state.failing:
        remedy = "Push a correction to the origin, or clear the failed Airflow run to try again"
        yield "WAIT", f"{state.failing[request.key]}. {remedy}"
    if orders.paused is not None:
        yield "WAIT", f"paused by {orders.paused}"
    if orders.pinned is not None and not request.dry_run:
        yield later, f"version {state.champion} is pinned by {orders.pinned}"
    if request.source == "watch":
        return  # a rollback starts no run, and needs neither data nor a budget
    if state.in_flight is not None:
        yield "WAIT", f"a run is in flight, held by {state.in_flight}"
    limit = params.trigger.max_per_hour
    if state.runs_in_hour >= limit:
        yield later, f"{state.runs_in_hour} runs within the hour, trigger.max_per_hour is {limit}"
    needed = params.train.start_batches
    if state.batches < needed:
        yield "WAIT", f"{state.batches} of the {needed} labelled batches of train.start_batches are in"
    budget = params.trigger.max_per_event_month
    if state.deployments_in_month >= budget and not request.force:
        hint = "; tick force to go on" if request.source in PEOPLE else ""
        spent = f"{state.deployments_in_month} deployments within {MONTH_DAYS} days"
        yield later, f"{spent}, trigger.max_per_event_month is {budget}{hint}"


def _obstacles(action: Action, state: State) -> Iterator[str]:
    """Yield why what the policy has decided cannot be done now."""
    if action == "ASK" and state.in_flight is not None:
        yield f"a run is in flight, held by {state.in_flight}"
    if action != "ROLLBACK":
        return
    if state.former is None:
        yield "there is no version to go back to"
    elif state.former in state.orders.blocked:
        yield f"version {state.former} is blocked by {state.orders.blocked[state.former]}"
    elif state.unloadable is not None:
        yield f"version {state.former} cannot be loaded to go back to it: {state.unloadable}"
