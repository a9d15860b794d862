"""Stage transitions: intent in the ledger, stage in MLflow, aliases beside it, completion in the ledger.

Killed between any two of these writes, `finish` does the rest: every write is idempotent, and the intent holds all that
is needed. See the architecture, decision 8.
"""

from trimtab.contracts import Stage
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import JudgementState, Transition
from trimtab.registry.mlflow_store import Store

ALIASES: dict[str, Stage] = {"champion": "Production", "challenger": "Staging"}


def move(ledger: Ledger, store: Store, transition: Transition) -> None:
    """Make one transition, or what is left of it."""
    ledger.intend(transition)
    finish(ledger, store, transition)


def finish(ledger: Ledger, store: Store, transition: Transition) -> None:
    """Do what follows the intent."""
    archive = transition.to_stage == "Production"
    if store.stage_of(transition.model, transition.version) != transition.to_stage or archive:
        store.set_stage(transition.model, transition.version, transition.to_stage, archive=archive)
    point_aliases(store, transition.model)
    ledger.complete(transition)


def close(ledger: Ledger, store: Store, transition: Transition, state: JudgementState) -> None:
    """End the judgement of a version and move it, in that order; the intent stands with the judgement's end."""
    with ledger.write():
        record = ledger.versions(transition.model).get(transition.version)
        if record is not None:
            ledger.record_judgement(
                transition.model,
                run_key=record.run_key,
                version=transition.version,
                state=state,
                reason=transition.reason,
                event_time=transition.event_time,
            )
        ledger.intend(transition)
    finish(ledger, store, transition)


def point_aliases(store: Store, model: str) -> list[str]:
    """Let the aliases name what the stages say; return those that were wrong."""
    have = store.aliases(model)
    wrong = []
    for alias, stage in ALIASES.items():
        in_stage = store.in_stage(model, stage)
        want = in_stage[-1] if in_stage else None
        if have.get(alias) != want:
            store.set_alias(model, alias, want)
            wrong.append(alias)
    return wrong
