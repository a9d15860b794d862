"""One pure function from (requests, state, parameters) to an answer with its sentence for each request."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab import params
from trimtab.contracts import Action, Decision, Request
from trimtab.registry.records import RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the arbiter needs to know of the loop.

    `batches_since_retraining` counts the batches that ended after the last retraining's event time, None before the
    first; `fresh_batches` counts those that the champion was not trained on; `champion` is its version or None.
    `under_judgement` is the version in Staging that has looks left, and `unlooked_batches` counts the labelled
    batches that came since the last look at it.
    """

    batches: int
    fresh_batches: int
    champion: str | None
    in_flight: str | None
    batches_since_retraining: int | None
    under_judgement: str | None = None
    unlooked_batches: int = 0


def arbitrate(waiting: Sequence[RequestRecord], state: State, wanted: params.Params) -> list[Decision]:
    """Answer each waiting request, oldest first; at most one RETRAIN or JUDGE, which the others join or wait for.

    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> asked = Request(model="m", source="ui", episode="r1", reason="try", event_time=datetime(2026, 1, 5, tzinfo=UTC))
    >>> state = State(batches=12, fresh_batches=4, champion="1", in_flight=None, batches_since_retraining=1)
    >>> record = RequestRecord(id=7, request=asked, at=asked.event_time)
    >>> arbitrate([record], state, params.load(Path("params.yaml")))[0].reason
    'cooldown: 1 batch since the last retraining, trigger.cooldown_batches is 2; tick force to go on'
    """
    answers: list[Decision] = []
    started: tuple[Action, int] | None = None
    for record in sorted(waiting, key=lambda one: (one.request.source != "look", one.id)):
        action, reason = _answer(record.request, state, wanted, started)
        if action in ("RETRAIN", "JUDGE"):
            started = action, record.id
        answers.append(Decision(request_id=record.id, action=action, reason=reason))
    return answers


def _answer(
    asked: Request, state: State, wanted: params.Params, started: tuple[Action, int] | None
) -> tuple[Action, str]:
    if asked.champion is not None and asked.champion != state.champion:
        return "SKIP", f"it was about version {asked.champion}; version {state.champion} is champion by now"
    if started is not None and started[0] == "RETRAIN":
        return "SKIP", f"joined the retraining that request {started[1]} started"
    if asked.source == "look":
        return _look(asked, state)
    if started is not None:
        return "WAIT", f"the look that request {started[1]} started comes first"
    if state.in_flight is not None:
        return "WAIT", f"a retraining is in flight, held by {state.in_flight}"
    if state.under_judgement is not None and not _supersedes(asked, wanted):
        text = f"version {state.under_judgement} is under judgement and has looks left"
        if asked.source in ("ui", "schedule"):
            return "SKIP", f"{text}; tick force to train another in its stead"
        return "WAIT", text
    if state.batches < wanted.train.start_batches:
        return (
            "WAIT",
            f"{state.batches} of the {wanted.train.start_batches} batches of train.start_batches are in",
        )
    if state.fresh_batches < wanted.gate.judge_batches:
        return "WAIT", (
            f"{state.fresh_batches} of the {wanted.gate.judge_batches} batches of gate.judge_batches "
            f"came after the champion's training"
        )
    since, cooldown = state.batches_since_retraining, wanted.trigger.cooldown_batches
    if since is not None and since < cooldown and not asked.force:
        plural = "batch" if since == 1 else "batches"
        text = f"cooldown: {since} {plural} since the last retraining, trigger.cooldown_batches is {cooldown}"
        if asked.source in ("ui", "schedule"):
            return "SKIP", f"{text}; tick force to go on"
        return "WAIT", text
    return "RETRAIN", f"{asked.source}: {asked.reason}"


def _look(asked: Request, state: State) -> tuple[Action, str]:
    if asked.challenger != state.under_judgement:
        return "SKIP", f"version {asked.challenger} is no longer under judgement"
    if state.in_flight is not None:
        return "WAIT", f"a run is in flight, held by {state.in_flight}"
    if not state.unlooked_batches:
        return "WAIT", "no labelled batch has come since the last look"
    return "JUDGE", asked.reason


def _supersedes(asked: Request, wanted: params.Params) -> bool:
    """Say whether a request is worth more than a challenger under judgement.

    With `gate.refit` every look judges the recipe fitted anew, so another challenger of the same recipe would only
    forget what the looks before have shown. Without it the challenger ages, and drift asks for a younger one.
    """
    return asked.force or (asked.source == "drift" and not wanted.gate.refit)
