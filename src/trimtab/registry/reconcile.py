"""Make ledger, stages and aliases agree again after a crash; runs first in every DAG run."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trimtab.contracts import Stage
from trimtab.errors import StoreUnreachable
from trimtab.ledger import (
    Batch,
    Ledger,
    Order,
    Snapshot,
    Transition,
    TransitionEnd,
    Version,
    state,
)
from trimtab.ledger.queries import completed, in_staging
from trimtab.registry import transitions
from trimtab.registry.mlflow_store import Store

log = logging.getLogger(__name__)

ACTOR = "reconcile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What `reconcile` did.

    `finished` and `void` are keys of transitions, `unsettled` maps keys to the error for which they stay open. `archived`
    are versions that the ledger did not move to Staging. `aliases` were wrong. `foreign` is a change by hand.
    """

    finished: tuple[str, ...]
    void: tuple[str, ...]
    unsettled: Mapping[str, str]
    archived: tuple[str, ...]
    aliases: tuple[str, ...]
    foreign: "Foreign | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A change in Production that the ledger did not make.

    `expected` is the version that the ledger last put there, `present` what was there instead. `moved` is the transition
    that answered it, None if nothing was moved.
    """

    expected: str
    present: tuple[str, ...]
    moved: Transition | None


def reconcile(ledger: Ledger, store: Store, *, foreign_change: Literal["restore", "adopt", "ask"]) -> Repairs:
    """Settle open transitions, archive stray versions, answer changes by hand, correct aliases.

    With `restore`, the version that the ledger put into Production comes back; if it was deleted, the one before it that
    still exists. With `adopt`, a version that trimtab registered stays; any other is replaced all the same, because nothing
    vouches for its bytes. With `ask`, nothing is moved.

    Raises:
        StoreUnreachable: MLflow or the ledger does not answer. Run it again.
    """
    finished, void, unsettled = _settle(ledger, store)
    staged = in_staging(completed(ledger))
    strays = [version for version in store.in_stage(ledger.model, "Staging") if version not in staged]
    for version in strays:
        transitions.move(ledger, ledger, store, _archival(ledger, version))
    return Repairs(
        finished=tuple(finished),
        void=tuple(void),
        unsettled=unsettled,
        archived=tuple(strays),
        foreign=ledger.decide(
            lambda facts: _foreign(facts, ledger, store, foreign_change, unsettled=unsettled)
        ),
        aliases=tuple(transitions.point_aliases(ledger, store)),
    )


def _settle(ledger: Ledger, store: Store) -> tuple[list[str], list[str], dict[str, str]]:
    """Finish or void each open transition; one that cannot be settled does not stop the others."""
    finished, void, unsettled = list[str](), list[str](), dict[str, str]()
    for transition in state.unfinished(ledger.all(Transition), set(ledger.keys(TransitionEnd))):
        try:
            end = transitions.finish(ledger, store, transition)
        except StoreUnreachable:
            raise
        except Exception as error:  # whatever MLflow has against this one
            log.exception("The transition %s cannot be settled", transition.key)
            unsettled[transition.key] = str(error)
        else:
            (finished if end.outcome == "done" else void).append(transition.key)
    return finished, void, unsettled


def _archival(ledger: Ledger, version: str) -> Transition:
    return Transition(
        key=f"stray:{version}:{ledger.now().isoformat()}",
        kind="archive",
        version=version,
        to_stage="Archived",
        replaces=None,
        actor=ACTOR,
        reason="somebody moved it to Staging outside trimtab",
        evidence_sha256=None,
        event_time=state.event_now(ledger.all(Batch)) or ledger.now(),
    )


def _foreign(
    facts: Snapshot, ledger: Ledger, store: Store, policy: str, *, unsettled: Collection[str]
) -> Foreign | None:
    moves = state.to_production(completed(facts))
    if state.unfinished(facts.all(Transition), {*facts.keys(TransitionEnd), *unsettled}):
        return None  # a transition is in progress in another process
    stages = store.stages(ledger.model)
    present = tuple(version for version, stage in stages.items() if stage == "Production")
    expected = moves[-1].version if moves else None
    if present == ((expected,) if expected else ()):
        return None
    answer = None if policy == "ask" else _answer(facts, ledger, moves, stages, present, policy)
    if answer is None:
        facts.append()  # raises if another process moved something since the ledger was read
    else:
        transitions.move(facts, ledger, store, answer)
    return Foreign(expected=expected or "none", present=present, moved=answer)


def _answer(
    facts: Snapshot,
    ledger: Ledger,
    moves: Sequence[Transition],
    stages: Mapping[str, Stage],
    present: Sequence[str],
    policy: str,
) -> Transition | None:
    blocked = state.orders_in_force(facts.all(Order)).blocked
    is_candidate = policy == "adopt" and len(present) == 1 and present[0] not in blocked
    if is_candidate and facts.get(Version, present[0]) is not None:
        kind: Literal["adopt", "restore"] = "adopt"
        version, event_time = present[0], state.event_now(ledger.all(Batch)) or ledger.now()
    else:
        candidates = [move for move in moves if move.version in stages and move.version not in blocked]
        if not candidates:
            return None
        kind, version, event_time = "restore", candidates[-1].version, candidates[-1].event_time
    return Transition(
        key=f"{kind}:{version}:{ledger.now().isoformat()}",
        kind=kind,
        version=version,
        to_stage="Production",
        replaces=present[-1] if present else None,
        actor=ACTOR,
        reason=f"changed by hand, outside trimtab: {', '.join(present) or 'no version'} was in Production",
        evidence_sha256=None,
        event_time=event_time,
    )
