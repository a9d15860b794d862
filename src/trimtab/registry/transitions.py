"""Stage transitions: the intent in the ledger, the stage in MLflow, the aliases beside it, the end in the ledger.

A process may be killed between any two of these writes: each can be repeated, and the intent holds all that `finish` needs.
A process may also be paused there, for any time: MLflow cannot refuse a late write, so `finish` looks at the ledger right
before its write, and repairs Production when its write came too late all the same.
"""

from trimtab.contracts import Stage
from trimtab.ledger import (
    Judgement,
    JudgementState,
    Lease,
    Ledger,
    Order,
    Snapshot,
    Transition,
    TransitionEnd,
    Version,
    state,
)
from trimtab.ledger.queries import completed
from trimtab.registry.mlflow_store import Store

ALIASES: dict[str, Stage] = {"champion": "Production", "challenger": "Staging"}


def move(
    facts: Ledger | Snapshot, ledger: Ledger, store: Store, transition: Transition, lease: Lease | None = None
) -> None:
    """Record a transition, and do in MLflow what it asks for.

    Args:
        facts: Where the transition is recorded: the ledger, or a snapshot, which refuses when it is out of date.
        ledger: The ledger that the registry is made to agree with.

    Raises:
        Conflict: `facts` is a snapshot, and what it has read is no longer the newest; nothing was moved.
        LeaseLost: Another run took over the lease; nothing was moved.
    """
    facts.append(transition, lease=lease)
    finish(ledger, store, transition, lease)


def finish(ledger: Ledger, store: Store, transition: Transition, lease: Lease | None = None) -> TransitionEnd:
    """Do what follows the intent, or void it if it may not be made any more; return its end.

    Raises:
        LeaseLost: Another run took over the lease; nothing was moved.
    """
    stages = store.stages(ledger.model)
    obstacle = _obstacle(ledger, transition, stages)
    if obstacle is not None:
        end = TransitionEnd(key=transition.key, outcome="void", reason=obstacle)
    else:
        archive = transition.to_stage == "Production"
        if stages[transition.version] != transition.to_stage or archive:
            if lease is not None:
                ledger.leases.check(lease)
            store.set_stage(ledger.model, transition.version, transition.to_stage, archive=archive)
        point_aliases(ledger, store)
        end = TransitionEnd(key=transition.key, outcome="done")
    if not ledger.append(end) or (obstacle is None and _overtaken_by(ledger, transition)):
        restore_production(ledger, store)  # the write to MLflow came too late
    return ledger.get(TransitionEnd, transition.key) or end


def close(
    ledger: Ledger, store: Store, transition: Transition, outcome: JudgementState, lease: Lease | None = None
) -> None:
    """End the judgement of a version and move it; both stand in the ledger together."""
    version = ledger.get(Version, transition.version)
    ended = [] if version is None else [judgement_end(version, transition, outcome)]
    ledger.append(*ended, transition, lease=lease)
    finish(ledger, store, transition, lease)


def judgement_end(version: Version, transition: Transition, outcome: JudgementState) -> Judgement:
    """Return the last state of a version's judgement, for the reason of a transition."""
    return Judgement(
        run_key=version.run_key,
        version=version.version,
        state=outcome,
        reason=transition.reason,
        event_time=transition.event_time,
    )


def point_aliases(ledger: Ledger, store: Store) -> list[str]:
    """Let the aliases name what the stages say; return those that were wrong."""
    current, corrected = store.aliases(ledger.model), []
    for alias, stage in ALIASES.items():
        version = next(reversed(store.in_stage(ledger.model, stage)), None)
        if current.get(alias) != version:
            store.set_alias(ledger.model, alias, version)
            corrected.append(alias)
    return corrected


def restore_production(ledger: Ledger, store: Store) -> None:
    """Put the version into Production that the ledger put there last."""
    live = state.live(completed(ledger))
    stages = store.stages(ledger.model)
    in_production = [version for version, stage in stages.items() if stage == "Production"]
    if live is not None and live.version in stages and in_production != [live.version]:
        store.set_stage(ledger.model, live.version, "Production", archive=True)
    point_aliases(ledger, store)


def _obstacle(ledger: Ledger, transition: Transition, stages: dict[str, Stage]) -> str | None:
    """Say why a transition may not be made any more, None if it may."""
    version = transition.version
    if version not in stages:
        return f"version {version} was deleted in MLflow"
    later = _overtaken_by(ledger, transition)
    if later is not None:
        return f"overtaken by the transition {later.key} of version {later.version}"
    if transition.to_stage != "Production":
        return None
    orders = state.orders_in_force(ledger.all(Order))
    if version in orders.blocked:
        return f"version {version} is blocked by {orders.blocked[version]}"
    pin = orders.pinned
    if pin is not None and pin.version != version and transition.kind != "restore":
        return f"version {pin.version} is pinned by {pin}"
    return None


def _overtaken_by(ledger: Ledger, transition: Transition) -> Transition | None:
    """Return a later transition of the same version, or a later one to Production if this one is to Production."""
    written = ledger.get(Transition, transition.key)
    if written is None:
        return None
    overtaking = (
        move
        for move in ledger.all(Transition)
        if move.version == transition.version or move.to_stage == transition.to_stage == "Production"
    )
    return next((move for move in overtaking if move.id > written.id), None)
