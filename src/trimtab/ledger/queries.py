"""Reads that several packages need. They go by key, so that large facts are read only where they matter."""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.contracts import BatchRef, ModelVersion, Recipe
from trimtab.ledger import state
from trimtab.ledger.facts import (
    Answer,
    Batch,
    Observation,
    Question,
    RecipeEntry,
    Request,
    Run,
    RunEnd,
    Transition,
    TransitionEnd,
    Version,
)
from trimtab.ledger.ledger import Ledger, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The versions that the ledger last moved to Production and Staging, and the one that the champion replaced.

    `recipes` are those of the newest commit, the challenger and the former champion, whichever there are.
    """

    champion: ModelVersion | None
    challenger: ModelVersion | None
    former: ModelVersion | None
    recipes: tuple[Recipe, ...]


def newest_batches(ledger: Ledger, number: int) -> list[Batch]:
    """Return the newest revisions of the newest batches, in the order of their start."""
    in_force = {
        batch: (end, key) for batch, end, key in ledger.columns(Batch, "manifest.batch", "event_time", "key")
    }
    keys = [key for _, key in sorted(in_force.values())[-number:]]
    return state.batches_in_force(ledger.all(Batch, keys=keys))


def unobserved(ledger: Ledger) -> tuple[str | None, list[BatchRef]]:
    """Return the version in Production, and the batch revisions since then whose drift was not measured for it."""
    live = state.live(to_production(ledger))
    if live is None:
        return None, []
    return live.version, state.unobserved(
        ledger.all(Batch), ledger.keys(Observation), live.version, live.event_time
    )


def runs_in_progress(facts: Ledger | Snapshot) -> list[Run]:
    """Return the runs that have not ended, oldest first."""
    ended = set(facts.keys(RunEnd))
    return facts.all(Run, keys=[key for key in facts.keys(Run) if key not in ended])


def asking(facts: Ledger | Snapshot) -> set[str]:
    """Return the keys of the runs in progress that wait for a person's answer."""
    return {run.key for run in runs_in_progress(facts)}.intersection(facts.keys(Question))


def unanswered_requests(facts: Ledger | Snapshot) -> list[Request]:
    """Return the requests that have no final answer, oldest first."""
    ledger = facts if isinstance(facts, Ledger) else facts.ledger  # a new request changes no answer to others
    answered = set(facts.keys(Answer))
    return ledger.all(Request, keys=[key for key in ledger.keys(Request) if key not in answered])


def waiting_requests(facts: Ledger | Snapshot) -> list[Request]:
    """Return the requests that have no final answer and that no run is working on, oldest first."""
    return state.waiting(unanswered_requests(facts), runs_in_progress(facts))


def completed(facts: Ledger | Snapshot) -> list[Transition]:
    """Return the completed transitions, in the order of their completion."""
    return state.completed(facts.all(Transition), facts.all(TransitionEnd))


def to_production(facts: Ledger | Snapshot) -> list[Transition]:
    """Return the completed transitions that moved a version to Production, in the order of their completion."""
    transitions = facts.all(Transition, to_stage="Production")
    ends = facts.all(TransitionEnd, keys=[transition.key for transition in transitions])
    return state.completed(transitions, ends)


def champion(facts: Ledger | Snapshot) -> ModelVersion | None:
    """Return the version that the ledger last put into Production, None before the first promotion."""
    move = state.live(to_production(facts))
    return _version(facts, move.version) if move else None


def served(ledger: Ledger) -> Served:
    """Return all versions that the service needs.

    A challenger is a version whose last transition was to Staging. The former champion is the one that the champion
    replaced when it was promoted; a champion that a rollback brought back has none.
    """
    moves = completed(ledger)
    staged, move = in_staging(moves), state.live(moves)
    promotion = state.promotion_of(moves, move.version) if move else None
    challenger = _version(ledger, staged[-1]) if staged else None
    former = _version(ledger, promotion.replaces) if promotion and promotion.replaces else None
    return Served(
        champion=_version(ledger, move.version) if move else None,
        challenger=challenger,
        former=former,
        recipes=tuple(
            each.recipe for each in (ledger.last(RecipeEntry), challenger, former) if each and each.recipe
        ),
    )


def in_staging(moves: Sequence[Transition]) -> list[str]:
    """Return the versions whose last completed transition was to Staging."""
    last_stage = {move.version: move.to_stage for move in moves}
    return [version for version, stage in last_stage.items() if stage == "Staging"]


def _version(facts: Ledger | Snapshot, version: str) -> ModelVersion | None:
    registered = facts.get(Version, version)
    return registered.model_version if registered else None
