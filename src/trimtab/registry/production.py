"""Which version is champion, which one challenges it, and which one was champion before, by the ledger."""

from dataclasses import dataclass

from trimtab.contracts import ModelVersion
from trimtab.ledger import Ledger, Snapshot, state
from trimtab.ledger.facts import Transition, TransitionEnd, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The versions that the ledger last moved to Production and Staging, and the one that the champion replaced."""

    champion: ModelVersion | None
    challenger: ModelVersion | None
    former: ModelVersion | None


def champion(facts: Ledger | Snapshot) -> ModelVersion | None:
    """Return the version that the ledger last put into Production, None before the first promotion."""
    move = state.live(completed(facts))
    return None if move is None else _version(facts, move.version)


def served(ledger: Ledger) -> Served:
    """Return all versions that the service needs.

    A challenger is a version whose last transition was to Staging. The former champion is the one that the champion
    replaced when it was promoted; a champion that a rollback brought back has none.
    """
    moves = completed(ledger)
    last_stage = {move.version: move.to_stage for move in moves}
    staged = [version for version, stage in last_stage.items() if stage == "Staging"]
    move = state.live(moves)
    promotion = state.promotion_of(moves, move.version) if move else None
    return Served(
        champion=_version(ledger, move.version) if move else None,
        challenger=_version(ledger, staged[-1]) if staged else None,
        former=_version(ledger, promotion.replaces) if promotion and promotion.replaces else None,
    )


def completed(facts: Ledger | Snapshot) -> list[Transition]:
    """Return the completed transitions, in the order of their completion."""
    return state.completed(facts.all(Transition), facts.all(TransitionEnd))


def _version(facts: Ledger | Snapshot, version: str) -> ModelVersion | None:
    registered = facts.get(Version, version)
    return None if registered is None else registered.model_version
