"""Bring ledger, stages and aliases together again after a crash; runs first in every DAG run."""

from dataclasses import dataclass
from typing import Literal

from trimtab.clock import system_clock
from trimtab.contracts import Stage
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import Transition
from trimtab.registry import transitions
from trimtab.registry.mlflow_store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What `reconcile` found and mended; `foreign` says who stood in Production though the ledger did not put it there."""

    finished: tuple[str, ...]
    archived: tuple[str, ...]
    aliases: tuple[str, ...]
    foreign: "Foreign | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A change in Production that the ledger knows nothing of, and what was done about it.

    `expected` is the version that the ledger last put there, `found` what stood there. `moved` is the transition that
    followed, None when nothing did.
    """

    expected: str
    found: tuple[str, ...]
    moved: Transition | None


def reconcile(
    ledger: Ledger, store: Store, model: str, *, foreign_change: Literal["restore", "adopt", "ask"]
) -> Repairs:
    """Finish open intents, archive what stands in Staging without a judgement, mend foreign changes, repair aliases.

    With `restore`, the version that the ledger put in Production comes back; when it was deleted, the one before it that
    is still there. With `adopt`, a version that trimtab registered stays; another one, or none, is restored all the same:
    nothing vouches for its bytes. With `ask` nothing is moved.

    Raises:
        StoreUnreachable: MLflow or the ledger does not answer; nothing is half done, run it again.
    """
    unfinished = ledger.unfinished(model)
    for transition in unfinished:
        transitions.finish(ledger, store, transition)
    strays = [
        version
        for version in store.in_stage(model, "Staging")
        if version not in ledger.under_judgement(model)
    ]
    for version in strays:
        transitions.move(ledger, store, _archival(ledger, model, version))
    foreign = _foreign(ledger, store, model, foreign_change)
    return Repairs(
        finished=tuple(transition.key for transition in unfinished),
        archived=tuple(strays),
        aliases=tuple(transitions.point_aliases(store, model)),
        foreign=foreign,
    )


def _archival(ledger: Ledger, model: str, version: str) -> Transition:
    return Transition(
        model=model,
        key=f"stray:{version}:{ledger.now().isoformat()}",
        version=version,
        to_stage="Archived",
        replaces=None,
        actor="reconcile",
        reason="it was in Staging without an open judgement",
        evidence_sha256=None,
        event_time=ledger.event_now(model) or system_clock(),
    )


def _foreign(ledger: Ledger, store: Store, model: str, policy: str) -> Foreign | None:
    served, stages = _served(ledger, model), store.stages(model)
    if ledger.unfinished(model) or _served(ledger, model) != served:
        return None  # a transition is on its way in another process
    found = tuple(version for version, stage in stages.items() if stage == "Production")
    expected = served[-1].version if served else None
    if found == ((expected,) if expected else ()):
        return None
    transition = None if policy == "ask" else _answer(ledger, model, served, stages, found, policy)
    if transition is not None:
        transitions.move(ledger, store, transition)
    return Foreign(expected=expected or "none", found=found, moved=transition)


def _served(ledger: Ledger, model: str) -> list[Transition]:
    return [
        record.transition
        for record in ledger.transitions(model)
        if record.phase == "done" and record.transition.to_stage == "Production"
    ]


def _answer(
    ledger: Ledger,
    model: str,
    served: list[Transition],
    stages: dict[str, Stage],
    found: tuple[str, ...],
    policy: str,
) -> Transition | None:
    now = ledger.now()
    adopted = found[0] if len(found) == 1 and found[0] in ledger.versions(model) else None
    if policy == "adopt" and adopted is not None and adopted not in ledger.standing(model).blocked:
        version, event_time = adopted, ledger.event_now(model) or now
    else:
        blocked = ledger.standing(model).blocked
        there = [one for one in reversed(served) if one.version in stages and one.version not in blocked]
        if not there:
            return None
        version, event_time = there[0].version, there[0].event_time
        policy = "restore"
    return Transition(
        model=model,
        key=f"{policy}:{version}:{now.isoformat()}",
        version=version,
        to_stage="Production",
        replaces=found[-1] if found else None,
        actor="reconcile",
        reason=f"by hand, outside trimtab: in Production stood {', '.join(found) or 'no version'}",
        evidence_sha256=None,
        event_time=event_time,
    )
