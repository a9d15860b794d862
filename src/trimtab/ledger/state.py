"""The state of the loop as pure functions over facts; facts are given oldest first, as the ledger returns them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from trimtab.contracts import Action, BatchRef, Quarantined
from trimtab.ledger.facts import (
    Answer,
    Batch,
    Fact,
    Order,
    QuarantineAction,
    Request,
    Run,
    Transition,
    TransitionEnd,
    Wait,
    observation_key,
)

F = TypeVar("F", bound=Fact)

_OPENS = {"pause": "resume", "pin": "unpin", "block": "unblock"}


def batches_in_force(batches: Iterable[Batch]) -> list[Batch]:
    """Return the newest revision of each batch, in the order of their start."""
    by_revision = sorted(batches, key=lambda batch: batch.manifest.revision)
    newest = {batch.manifest.batch: batch for batch in by_revision}
    return sorted(newest.values(), key=lambda batch: batch.manifest.start)


def event_now(batches: Iterable[Batch]) -> datetime | None:
    """Return the event clock: the latest end of a batch in force, None before the first batch."""
    return max((batch.manifest.end for batch in batches_in_force(batches)), default=None)


def unobserved(
    batches: Iterable[Batch], observed: Iterable[str], champion: str, since: datetime
) -> list[BatchRef]:
    """Return the batches in force that start at `since` or later and whose drift was not measured for this champion.

    `observed` are the keys of the observations. A batch whose rows were all erased has nothing to measure.
    """
    keys = set(observed)
    return [
        batch.ref
        for batch in batches_in_force(batches)
        if batch.manifest.start >= since
        and batch.manifest.rows
        and observation_key(batch.manifest.batch, batch.manifest.revision, champion) not in keys
    ]


def newest_observation(batches: Iterable[Batch], observed: Iterable[str], champion: str) -> str | None:
    """Return the key of the observation of a champion on its newest batch, at the newest revision.

    `observed` are the keys of the observations, `batches` all revisions.
    """
    keys = set(observed)
    ordered = sorted(batches, key=lambda batch: (batch.manifest.start, batch.manifest.revision), reverse=True)
    expected = (observation_key(each.manifest.batch, each.manifest.revision, champion) for each in ordered)
    return next((key for key in expected if key in keys), None)


def open_quarantine(actions: Iterable[QuarantineAction]) -> dict[str, Quarantined]:
    """Return the entries that wait for a person, by name."""
    newest = {action.entry.name: action for action in actions}
    return {name: action.entry for name, action in newest.items() if action.action == "quarantined"}


def unfinished(begun: Iterable[F], ended: Collection[str]) -> list[F]:
    """Return the runs, transitions or erasures that have not ended; `ended` are the keys of their ends."""
    return [fact for fact in begun if fact.key not in ended]


def waiting(unanswered: Iterable[Request], in_progress: Iterable[Run]) -> list[Request]:
    """Return the unanswered requests that no run is working on.

    A run that failed or was lost leaves its request waiting again.
    """
    busy = {run.request for run in in_progress}
    return [request for request in unanswered if request.key not in busy]


DecisionFact = Run | Answer | Wait


def decisions(runs: Iterable[Run], answers: Sequence[Answer], waits: Iterable[Wait]) -> list[DecisionFact]:
    """Return what the arbiter decided, oldest first; the answer that a run led to stands for the run."""
    answered = {answer.run for answer in answers}
    return sorted(
        [*(run for run in runs if run.key not in answered), *answers, *waits],
        key=lambda decision: decision.id,
    )


def action_of(decision: DecisionFact) -> Action:
    """Return what was decided."""
    return "WAIT" if isinstance(decision, Wait) else decision.action


def completed(transitions: Iterable[Transition], ends: Iterable[TransitionEnd]) -> list[Transition]:
    """Return the transitions that were made, in the order of their completion; `at` is its time."""
    intents = {transition.key: transition for transition in transitions}
    return [
        replace(intents[end.key], id=end.id, at=end.at)
        for end in ends
        if end.outcome == "done" and end.key in intents
    ]


def to_production(completed: Iterable[Transition]) -> list[Transition]:
    """Return the completed transitions that moved a version to Production."""
    return [transition for transition in completed if transition.to_stage == "Production"]


def live(completed: Iterable[Transition]) -> Transition | None:
    """Return the transition that put the live version into Production."""
    return next(reversed(to_production(completed)), None)


def promotion_of(completed: Sequence[Transition], version: str) -> Transition | None:
    """Return the promotion after which a version must prove itself, None if it did not come to Production by one.

    A rollback brings back a version that has proved itself, and so does no `restore` of what somebody moved by hand.
    """
    moves = [move for move in to_production(completed) if move.version == version and move.kind != "restore"]
    return moves[-1] if moves and moves[-1].kind in ("promote", "force") else None


def promoted_at(completed: Sequence[Transition], version: str) -> datetime | None:
    """Return the event time at which a version last came to Production."""
    return next(
        (move.event_time for move in reversed(to_production(completed)) if move.version == version), None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersInForce:
    """The orders that hold until their opposite is given; `blocked` is by version."""

    paused: Order | None
    pinned: Order | None
    blocked: Mapping[str, Order]


def orders_in_force(orders: Iterable[Order]) -> OrdersInForce:
    """Return the orders that hold: the newest of each pair counts, for block and unblock that of each version."""
    newest = {
        (opens, order.version if opens == "block" else None): order
        for order in orders
        for opens, closes in _OPENS.items()
        if order.verb in (opens, closes)
    }
    in_force = {key: order for key, order in newest.items() if order.verb in _OPENS}
    return OrdersInForce(
        paused=in_force.get(("pause", None)),
        pinned=in_force.get(("pin", None)),
        blocked={
            version: order
            for (verb, version), order in in_force.items()
            if verb == "block" and version is not None
        },
    )
