"""One pure function from (requests, state, policy) to an answer with its sentence for each request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trimtab.contracts import Action, Evidence
from trimtab.ledger import Request
from trimtab.params import Params
from trimtab.trigger.policy import PolicyDecision

RunOutcome = Literal["concluded", "failed", "lost"]
Policy = Callable[[Request], PolicyDecision]
"""What the policy says to a request, see `trigger.policy`."""
_Answer = tuple[Action, str]

PEOPLE = ("ui", "schedule")
"""Sources that need not wait: a person is told at once, and a schedule comes again."""
ALERTS = ("alert", "drift")
"""Sources that ask until the champion is replaced: when they come, no fresh model has seen what they are about."""
MONTH_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the arbiter needs to know of the loop besides what the policy looks at.

    `champion` is the version in Production. `in_flight` is who holds the lease. `deployments_in_month` counts those of the
    newest 30 days of event time, `runs_in_hour` the runs by the system clock. `paused`, `pinned` and `blocked` (by version)
    say who ordered it and why. `unloadable` says what is wrong with the model that a rollback would go back to, `failing`,
    by request, why its runs fail. `former` is the version that the champion replaced.
    """

    batches: int
    champion: str | None
    in_flight: str | None = None
    deployments_in_month: int = 0
    runs_in_hour: int = 0
    paused: str | None = None
    pinned: str | None = None
    blocked: Mapping[str, str] = field(default_factory=dict)
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
    answers: list[Decision] = []
    started: Request | None = None
    for request in sorted(waiting, key=lambda each: (each.source != "watch", each.id)):
        decision = _decide(request, state, params, policy, started)
        if decision.action in ("DEPLOY", "ROLLBACK", "ASK"):
            started = request
        answers.append(decision)
    return answers


def _decide(
    request: Request, state: State, params: Params, policy: Policy, started: Request | None
) -> Decision:
    held = next(filter(None, (rule(request, state, params, started) for rule in _RULES)), None)
    if held is not None:
        return Decision(request=request.key, action=held[0], reason=held[1])
    if request.window_batches is not None:
        reason = f"a person chose a training window of {request.window_batches} batches: {request.reason}"
        return Decision(request=request.key, action="DEPLOY", reason=reason)
    decided = policy(request)
    if request.dry_run:
        reason = f"dry run: {decided.action}: {decided.reason}"
        return Decision(request=request.key, action="SKIP", reason=reason, evidence=decided.evidence)
    if request.source == "watch" and decided.action == "DEPLOY":
        reason = f"the champion is no longer worse beyond doubt than the version before it; {decided.reason}"
        return Decision(request=request.key, action="SKIP", reason=reason, evidence=decided.evidence)
    obstacle = _obstacle(decided.action, state)
    if obstacle is not None:
        return Decision(request=request.key, action="WAIT", reason=obstacle, evidence=decided.evidence)
    action = decided.action
    if action in ("SKIP", "WAIT"):
        action = "SKIP" if request.source in PEOPLE else "WAIT" if request.source in ALERTS else action
    return Decision(request=request.key, action=action, reason=decided.reason, evidence=decided.evidence)


def _no_longer_needed(
    request: Request, state: State, params: Params, started: Request | None
) -> _Answer | None:
    if request.champion is not None and request.champion != state.champion:
        return "SKIP", f"it was about version {request.champion}; version {state.champion} is champion by now"
    return None


def _joins_another(request: Request, state: State, params: Params, started: Request | None) -> _Answer | None:
    if started is None:
        return None
    if (request.window_batches, request.dry_run) != (started.window_batches, started.dry_run):
        return "WAIT", f"the request {started.key} comes first, which asks for something else"
    return "SKIP", f"joined what the request {started.key} started"


def _run_has_failed(
    request: Request, state: State, params: Params, started: Request | None
) -> _Answer | None:
    if request.key not in state.failing:
        return None
    return "WAIT", (
        f"{state.failing[request.key]}. Push a correction to the origin, or clear the failed Airflow run to try again"
    )


def _held_by_people(
    request: Request, state: State, params: Params, started: Request | None
) -> _Answer | None:
    if state.paused is not None:
        return "WAIT", f"paused by {state.paused}"
    if state.pinned is not None and not request.dry_run:
        return _held_back(request, f"version {state.champion} is pinned by {state.pinned}")
    return None


def _no_run_can_start(
    request: Request, state: State, params: Params, started: Request | None
) -> _Answer | None:
    if request.source == "watch":
        return None
    if state.in_flight is not None:
        return "WAIT", f"a run is in flight, held by {state.in_flight}"
    if state.runs_in_hour >= params.trigger.max_per_hour:
        text = f"{state.runs_in_hour} runs within the hour, trigger.max_per_hour is {params.trigger.max_per_hour}"
        return _held_back(request, text)
    return None


def _too_little_data(
    request: Request, state: State, params: Params, started: Request | None
) -> _Answer | None:
    if request.source == "watch" or state.batches >= params.train.start_batches:
        return None
    return "WAIT", (
        f"{state.batches} of the {params.train.start_batches} labelled batches of train.start_batches are in"
    )


def _budget_is_spent(
    request: Request, state: State, params: Params, started: Request | None
) -> _Answer | None:
    limit = params.trigger.max_per_event_month
    if request.source == "watch" or request.force or state.deployments_in_month < limit:
        return None
    text = f"{state.deployments_in_month} deployments within {MONTH_DAYS} days, trigger.max_per_event_month is {limit}"
    return _held_back(request, f"{text}; tick force to go on" if request.source in PEOPLE else text)


_RULES: Sequence[Callable[[Request, State, Params, Request | None], _Answer | None]] = (
    _no_longer_needed,
    _joins_another,
    _run_has_failed,
    _held_by_people,
    _no_run_can_start,
    _too_little_data,
    _budget_is_spent,
)
"""The rules in their order: the first that returns an answer decides. Where none does, the policy decides."""


def _obstacle(action: Action, state: State) -> str | None:
    if action == "ASK" and state.in_flight is not None:
        return f"a run is in flight, held by {state.in_flight}"
    if action != "ROLLBACK":
        return None
    if state.former is None:
        return "there is no version to go back to"
    if state.former in state.blocked:
        return f"version {state.former} is blocked by {state.blocked[state.former]}"
    if state.unloadable is not None:
        return f"version {state.former} cannot be loaded to go back to it: {state.unloadable}"
    return None


def _held_back(request: Request, text: str) -> _Answer:
    return ("SKIP", text) if request.source in PEOPLE else ("WAIT", text)
