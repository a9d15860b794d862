"""Bring ledger, stages and aliases together again after a crash; runs first in every DAG run."""

from dataclasses import dataclass

from trimtab.clock import system_clock
from trimtab.registry import transitions
from trimtab.registry.ledger import Ledger
from trimtab.registry.mlflow_store import Store
from trimtab.registry.records import Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What `reconcile` found and mended; `foreign` is a version in Production that the ledger did not put there."""

    finished: tuple[str, ...]
    archived: tuple[str, ...]
    aliases: tuple[str, ...]
    foreign: str | None


def reconcile(ledger: Ledger, store: Store, model: str) -> Repairs:
    """Finish open intents, archive what stands in Staging without a judgement, repair aliases, name a foreign change.

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
    return Repairs(
        finished=tuple(transition.key for transition in unfinished),
        archived=tuple(strays),
        aliases=tuple(transitions.point_aliases(store, model)),
        foreign=_foreign(ledger, store, model),
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


def _foreign(ledger: Ledger, store: Store, model: str) -> str | None:
    in_production = store.in_stage(model, "Production")
    promoted = [
        record.transition.version
        for record in ledger.transitions(model)
        if record.phase == "done" and record.transition.to_stage == "Production"
    ]
    expected = promoted[-1:]
    return None if in_production == expected else ", ".join(in_production) or "none"
