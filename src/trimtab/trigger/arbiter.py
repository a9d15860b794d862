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
    """

    batches: int
    fresh_batches: int
    champion: str | None
    in_flight: str | None
    batches_since_retraining: int | None


def arbitrate(waiting: Sequence[RequestRecord], state: State, wanted: params.Params) -> list[Decision]:
    """Answer each waiting request, oldest first; at most one RETRAIN, which the others join.

    >>> from datetime import UTC, datetime
    >>> from pathlib import Path
    >>> asked = Request(model="m", source="ui", episode="r1", reason="try", event_time=datetime(2026, 1, 5, tzinfo=UTC))
    >>> state = State(batches=12, fresh_batches=4, champion="1", in_flight=None, batches_since_retraining=1)
    >>> record = RequestRecord(id=7, request=asked, at=asked.event_time)
    >>> arbitrate([record], state, params.load(Path("params.yaml")))[0].reason
    'cooldown: 1 batch since the last retraining, trigger.cooldown_batches is 2; tick force to go on'
    """
    answers: list[Decision] = []
    started: int | None = None
    for record in waiting:
        action, reason = _answer(record.request, state, wanted, started)
        if action == "RETRAIN":
            started = record.id
        answers.append(Decision(request_id=record.id, action=action, reason=reason))
    return answers


def _answer(asked: Request, state: State, wanted: params.Params, started: int | None) -> tuple[Action, str]:
    if started is not None:
        return "SKIP", f"joined the retraining that request {started} started"
    if asked.champion is not None and asked.champion != state.champion:
        return "SKIP", f"it was about version {asked.champion}; version {state.champion} is champion by now"
    if state.in_flight is not None:
        return "WAIT", f"a retraining is in flight, held by {state.in_flight}"
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
