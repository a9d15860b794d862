"""One pure function from (requests, state, parameters) to an answer with its sentence for each request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from trimtab.contracts import Action, Decision
from trimtab.ledger import Request
from trimtab.params import Params

Answer = tuple[Action, str]
Started = tuple[Action, str] | None
RunOutcome = Literal["concluded", "failed", "lost"]

_PEOPLE = ("ui", "schedule")
"""Sources that need not wait: a person is told at once, and a schedule comes again."""
_MONTH_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the arbiter needs to know of the loop.

    `batches` counts those of which enough is labelled, `fresh_batches` those of them that the champion was not trained
    on. `batches_since_retraining` and `new_labels` count what ended after the last retraining's event time, None before the
    first; `champion` is its version or None.
    `seen_through` is the label cut-off of the last retraining that came to a verdict. `under_judgement` is the version in
    Staging that has looks left, and `unlooked_batches` counts the labelled batches that came since the last look at it.
    `paused`, `pinned` and `blocked` (by version) say who ordered it and why; `unloadable` (by version) says what is wrong
    with the model file. `retrainings_in_month` is of event time, `runs_in_hour` of the system clock. `drifted` of the
    newest `trigger.confirm_of` batches drifted for this champion. `failing` says, by request, why its runs fail.
    """

    batches: int
    fresh_batches: int
    champion: str | None
    in_flight: str | None
    batches_since_retraining: int | None
    new_labels: int | None = None
    seen_through: datetime | None = None
    under_judgement: str | None = None
    unlooked_batches: int = 0
    batches_since_rollback: int | None = None
    retrainings_in_month: int = 0
    runs_in_hour: int = 0
    drifted: int | None = None
    paused: str | None = None
    pinned: str | None = None
    blocked: Mapping[str, str] = field(default_factory=dict)
    unloadable: Mapping[str, str] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)


def arbitrate(waiting: Sequence[Request], state: State, params: Params) -> list[Decision]:
    """Answer each waiting request: rollbacks first, then looks, then oldest first; at most one of them starts something.

    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> from trimtab.params import load
    >>> request = Request(source="ui", episode="r1", reason="try", event_time=datetime(2026, 1, 5, tzinfo=UTC))
    >>> state = State(batches=12, fresh_batches=4, champion="1", in_flight=None, batches_since_retraining=1)
    >>> arbitrate([request], state, load(Path("params.yaml")))[0].reason
    'cooldown: 1 batch since the last retraining, trigger.cooldown_batches is 2; tick force to go on'
    """
    answers: list[Decision] = []
    started: Started = None
    for request in sorted(waiting, key=lambda each: (each.source != "watch", each.source != "look", each.id)):
        action, reason = _answer(request, state, params, started)
        if action in ("RETRAIN", "JUDGE", "ROLLBACK"):
            started = action, request.key
        answers.append(Decision(request=request.key, action=action, reason=reason))
    return answers


def _answer(request: Request, state: State, params: Params, started: Started) -> Answer:
    answer = next(filter(None, (rule(request, state, params, started) for rule in _RULES)), None)
    if answer is not None:
        return answer
    if request.source == "watch":
        return "ROLLBACK", f"{request.reason}: back to version {request.challenger}"
    if request.source == "look":
        return "JUDGE", request.reason
    return "RETRAIN", f"{request.source}: {request.reason}"


def _no_longer_needed(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if request.champion is not None and request.champion != state.champion:
        return "SKIP", f"it was about version {request.champion}; version {state.champion} is champion by now"
    if request.source == "look" and request.challenger != state.under_judgement:
        return "SKIP", f"version {request.challenger} is no longer under judgement"
    changed = request.force or request.dry_run or request.window_batches is not None
    plain = request.source not in ("look", "watch") and not changed
    if plain and state.seen_through is not None and request.event_time <= state.seen_through:
        text = f"the last retraining has seen all labels up to {state.seen_through:%Y-%m-%d %H:%M}"
        return "SKIP", f"{text}; tick force to train again" if request.source in _PEOPLE else text
    return None


def _joins_another(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if started is None:
        return None
    action, first = started
    if action == "RETRAIN":
        return "SKIP", f"joined the retraining that the request {first} started"
    what = "look" if action == "JUDGE" else "rollback"
    return "WAIT", f"the {what} that the request {first} started comes first"


def _run_has_failed(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if request.key not in state.failing:
        return None
    return "WAIT", (
        f"{state.failing[request.key]}. Push a correction to the origin, or clear the failed Airflow run to try again"
    )


def _held_by_people(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if state.paused is not None:
        return "WAIT", f"paused by {state.paused}"
    if state.pinned is not None and not request.dry_run:
        return _held_back(request, f"version {state.champion} is pinned by {state.pinned}", hint="")
    target = request.challenger
    if target is not None and target in state.blocked:
        return "WAIT", f"version {target} is blocked by {state.blocked[target]}"
    if request.source == "watch" and target is not None and target in state.unloadable:
        return "WAIT", f"version {target} cannot be loaded to go back to it: {state.unloadable[target]}"
    return None


def _no_run_can_start(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if request.source == "watch":
        return None
    if state.in_flight is not None:
        return "WAIT", f"a run is in flight, held by {state.in_flight}"
    if state.champion is not None and state.champion in state.unloadable:
        return "WAIT", (
            f"the champion, version {state.champion}, cannot be loaded to compare with it: "
            f"{state.unloadable[state.champion]} Bring its artifact back, or go back with `trimtab model rollback`"
        )
    if state.runs_in_hour >= params.trigger.max_per_hour:
        text = f"{state.runs_in_hour} runs within the hour, trigger.max_per_hour is {params.trigger.max_per_hour}"
        return _held_back(request, text, hint="")
    if request.source == "look" and not state.unlooked_batches:
        return "WAIT", "no labelled batch has come since the last look"
    return None


def _challenger_under_judgement(
    request: Request, state: State, params: Params, started: Started
) -> Answer | None:
    if request.source in ("look", "watch") or state.under_judgement is None or _supersedes(request, params):
        return None
    text = f"version {state.under_judgement} is under judgement and has looks left"
    if request.source in _PEOPLE:
        return "SKIP", f"{text}; tick force to train another in its stead"
    return "WAIT", text


def _too_little_data(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if request.source in ("look", "watch"):
        return None
    if state.batches < params.train.start_batches:
        return "WAIT", (
            f"{state.batches} of the {params.train.start_batches} labelled batches of train.start_batches are in"
        )
    if state.fresh_batches < params.gate.judge_batches:
        return "WAIT", (
            f"{state.fresh_batches} of the {params.gate.judge_batches} labelled batches of gate.judge_batches "
            f"came after the champion's training"
        )
    if state.retrainings_in_month >= params.trigger.max_per_event_month:
        text = (
            f"{state.retrainings_in_month} retrainings within {_MONTH_DAYS} days, "
            f"trigger.max_per_event_month is {params.trigger.max_per_event_month}"
        )
        return _held_back(request, text, hint="")
    return None


def _too_soon(request: Request, state: State, params: Params, started: Started) -> Answer | None:
    if request.source in ("look", "watch") or request.force:
        return None
    rules, since = params.trigger, state.batches_since_retraining
    if state.batches_since_rollback == 0:
        return _held_back(request, "no batch has come since the last rollback: the same data, the same model")
    if request.source == "drift" and state.drifted is not None and state.drifted < rules.confirm_drift:
        return "WAIT", (
            f"{state.drifted} of the newest {rules.confirm_of} batches drifted, trigger.confirm_drift is "
            f"{rules.confirm_drift}"
        )
    if since is not None and since < rules.cooldown_batches:
        text = f"cooldown: {since} {'batch' if since == 1 else 'batches'} since the last retraining"
        return _held_back(request, f"{text}, trigger.cooldown_batches is {rules.cooldown_batches}")
    if state.new_labels is not None and state.new_labels < rules.min_new_labels:
        text = f"{state.new_labels} labels came since the last retraining"
        return _held_back(request, f"{text}, trigger.min_new_labels is {rules.min_new_labels}")
    return None


_RULES: tuple[Callable[[Request, State, Params, Started], Answer | None], ...] = (
    _no_longer_needed,
    _joins_another,
    _run_has_failed,
    _held_by_people,
    _no_run_can_start,
    _challenger_under_judgement,
    _too_little_data,
    _too_soon,
)
"""The rules in their order: the first that returns an answer decides."""


def _held_back(request: Request, text: str, *, hint: str = "; tick force to go on") -> Answer:
    return ("SKIP", text + hint) if request.source in _PEOPLE else ("WAIT", text)


def _supersedes(request: Request, params: Params) -> bool:
    """Say whether a request is worth more than a challenger under judgement.

    With `gate.refit` every look judges the recipe, fitted again, so another challenger of the same recipe would only
    forget what the looks before have shown. Without it the challenger ages, and drift asks for a younger one.
    """
    return request.force or (request.source == "drift" and not params.gate.refit)
