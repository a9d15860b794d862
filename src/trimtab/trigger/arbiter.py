"""One pure function from (requests, state, parameters) to an answer with its sentence for each request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trimtab import params
from trimtab.contracts import Action, Decision, Request
from trimtab.ledger.records import RequestRecord

Answer = tuple[Action, str]
Started = tuple[Action, int] | None

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
    newest `trigger.confirm_of` batches drifted for this champion.
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


def arbitrate(waiting: Sequence[RequestRecord], state: State, wanted: params.Params) -> list[Decision]:
    """Answer each waiting request: rollbacks first, then looks, then oldest first; at most one of them starts something.

    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> asked = Request(model="m", source="ui", episode="r1", reason="try", event_time=datetime(2026, 1, 5, tzinfo=UTC))
    >>> state = State(batches=12, fresh_batches=4, champion="1", in_flight=None, batches_since_retraining=1)
    >>> record = RequestRecord(id=7, request=asked, at=asked.event_time)
    >>> arbitrate([record], state, params.load(Path("params.yaml")))[0].reason
    'cooldown: 1 batch since the last retraining, trigger.cooldown_batches is 2; tick force to go on'
    """
    answers: list[Decision] = []
    started: Started = None
    for record in sorted(waiting, key=_urgency):
        action, reason = _answer(record.request, state, wanted, started)
        if action in ("RETRAIN", "JUDGE", "ROLLBACK"):
            started = action, record.id
        answers.append(Decision(request_id=record.id, action=action, reason=reason))
    return answers


def _urgency(record: RequestRecord) -> tuple[bool, bool, int]:
    source = record.request.source
    return source != "watch", source != "look", record.id


def _answer(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer:
    for rule in _RULES:
        found = rule(asked, state, wanted, started)
        if found is not None:
            return found
    if asked.source == "watch":
        return "ROLLBACK", f"{asked.reason}: back to version {asked.challenger}"
    if asked.source == "look":
        return "JUDGE", asked.reason
    return "RETRAIN", f"{asked.source}: {asked.reason}"


def _moot(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if asked.champion is not None and asked.champion != state.champion:
        return "SKIP", f"it was about version {asked.champion}; version {state.champion} is champion by now"
    if asked.source == "look" and asked.challenger != state.under_judgement:
        return "SKIP", f"version {asked.challenger} is no longer under judgement"
    own = asked.force or asked.dry_run or asked.window_batches is not None
    plain = asked.source not in ("look", "watch") and not own
    if plain and state.seen_through is not None and asked.event_time <= state.seen_through:
        text = f"the last retraining has seen all labels up to {state.seen_through:%Y-%m-%d %H:%M}"
        return "SKIP", f"{text}; tick force to train again" if asked.source in _PEOPLE else text
    return None


def _joined(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if started is None:
        return None
    action, number = started
    if action == "RETRAIN":
        return "SKIP", f"joined the retraining that request {number} started"
    what = "look" if action == "JUDGE" else "rollback"
    return "WAIT", f"the {what} that request {number} started comes first"


def _ordered(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if state.paused is not None:
        return "WAIT", f"paused by {state.paused}"
    if state.pinned is not None and not asked.dry_run:
        return _held_back(asked, f"version {state.champion} is pinned by {state.pinned}", hint="")
    target = asked.challenger
    if target is not None and target in state.blocked:
        return "WAIT", f"version {target} is blocked by {state.blocked[target]}"
    if asked.source == "watch" and target is not None and target in state.unloadable:
        return "WAIT", f"version {target} cannot be loaded to go back to it: {state.unloadable[target]}"
    return None


def _busy(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if asked.source == "watch":
        return None
    if state.in_flight is not None:
        return "WAIT", f"a run is in flight, held by {state.in_flight}"
    if state.champion is not None and state.champion in state.unloadable:
        return "WAIT", (
            f"the champion, version {state.champion}, cannot be loaded to compare with it: "
            f"{state.unloadable[state.champion]} Bring its artifact back, or go back with `trimtab model rollback`"
        )
    if state.runs_in_hour >= wanted.trigger.max_per_hour:
        text = f"{state.runs_in_hour} runs within the hour, trigger.max_per_hour is {wanted.trigger.max_per_hour}"
        return _held_back(asked, text, hint="")
    if asked.source == "look" and not state.unlooked_batches:
        return "WAIT", "no labelled batch has come since the last look"
    return None


def _judging(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if asked.source in ("look", "watch") or state.under_judgement is None or _supersedes(asked, wanted):
        return None
    text = f"version {state.under_judgement} is under judgement and has looks left"
    if asked.source in _PEOPLE:
        return "SKIP", f"{text}; tick force to train another in its stead"
    return "WAIT", text


def _enough(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if asked.source in ("look", "watch"):
        return None
    if state.batches < wanted.train.start_batches:
        return "WAIT", (
            f"{state.batches} of the {wanted.train.start_batches} labelled batches of train.start_batches are in"
        )
    if state.fresh_batches < wanted.gate.judge_batches:
        return "WAIT", (
            f"{state.fresh_batches} of the {wanted.gate.judge_batches} labelled batches of gate.judge_batches "
            f"came after the champion's training"
        )
    if state.retrainings_in_month >= wanted.trigger.max_per_event_month:
        text = (
            f"{state.retrainings_in_month} retrainings within {_MONTH_DAYS} days, "
            f"trigger.max_per_event_month is {wanted.trigger.max_per_event_month}"
        )
        return _held_back(asked, text, hint="")
    return None


def _patient(asked: Request, state: State, wanted: params.Params, started: Started) -> Answer | None:
    if asked.source in ("look", "watch") or asked.force:
        return None
    rules, since = wanted.trigger, state.batches_since_retraining
    if state.batches_since_rollback == 0:
        return _held_back(asked, "no batch has come since the last rollback: the same data, the same model")
    if asked.source == "drift" and state.drifted is not None and state.drifted < rules.confirm_drift:
        return "WAIT", (
            f"{state.drifted} of the newest {rules.confirm_of} batches drifted, trigger.confirm_drift is "
            f"{rules.confirm_drift}"
        )
    if since is not None and since < rules.cooldown_batches:
        text = f"cooldown: {since} {'batch' if since == 1 else 'batches'} since the last retraining"
        return _held_back(asked, f"{text}, trigger.cooldown_batches is {rules.cooldown_batches}")
    if state.new_labels is not None and state.new_labels < rules.min_new_labels:
        text = f"{state.new_labels} labels came since the last retraining"
        return _held_back(asked, f"{text}, trigger.min_new_labels is {rules.min_new_labels}")
    return None


_RULES: tuple[Callable[[Request, State, params.Params, Started], Answer | None], ...] = (
    _moot,
    _joined,
    _ordered,
    _busy,
    _judging,
    _enough,
    _patient,
)
"""In this order; the first that has something to say answers."""


def _held_back(asked: Request, text: str, *, hint: str = "; tick force to go on") -> Answer:
    return ("SKIP", text + hint) if asked.source in _PEOPLE else ("WAIT", text)


def _supersedes(asked: Request, wanted: params.Params) -> bool:
    """Say whether a request is worth more than a challenger under judgement.

    With `gate.refit` every look judges the recipe fitted anew, so another challenger of the same recipe would only
    forget what the looks before have shown. Without it the challenger ages, and drift asks for a younger one.
    """
    return asked.force or (asked.source == "drift" and not wanted.gate.refit)
