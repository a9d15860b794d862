"""Stage transitions: the intent in the ledger, the stage in MLflow, reason and aliases beside it, the end in the ledger.

A process may be killed between any two of these writes: each can be repeated, and the intent holds all that `finish` needs.
A process may also be paused there, for any time: MLflow cannot refuse a late write, so `finish` looks at the ledger right
before and right after its write, and repairs Production when the write came too late.
"""

from trimtab.contracts import Stage
from trimtab.ledger import Lease, Ledger, Order, Snapshot, Transition, TransitionEnd, state
from trimtab.ledger.queries import completed
from trimtab.registry.mlflow_store import Store

ALIASES: dict[str, Stage] = {"champion": "Production", "challenger": "Staging"}
REASON_TAG = "trimtab.reason"
"""Tag of a version: why it was moved to its stage."""


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
    if obstacle is None:
        archive = transition.to_stage == "Production"
        if stages[transition.version] != transition.to_stage or archive:
            if lease is not None:
                ledger.leases.check(lease)
            store.set_stage(ledger.model, transition.version, transition.to_stage, archive=archive)
        store.set_tag(ledger.model, transition.version, REASON_TAG, transition.reason)
        point_aliases(ledger, store)
    if ledger.decide(lambda facts: _end(facts, transition, obstacle)):
        restore_production(ledger, store)
    return ledger.require(TransitionEnd, transition.key)


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
    if live is not None and live.version in store.stages(ledger.model):
        store.set_stage(ledger.model, live.version, "Production", archive=True)
    point_aliases(ledger, store)


def _obstacle(ledger: Ledger, transition: Transition, stages: dict[str, Stage]) -> str | None:
    """Say why a transition may not be made any more, None if it may."""
    version = transition.version
    if version not in stages:
        return f"version {version} was deleted in MLflow"
    overtaken = _overtaken(ledger, transition)
    if overtaken is not None or transition.to_stage != "Production":
        return overtaken
    orders = state.orders_in_force(ledger.all(Order))
    if version in orders.blocked:
        return f"version {version} is blocked by {orders.blocked[version]}"
    pin = orders.pinned
    if pin is not None and pin.version != version and transition.kind != "restore":
        return f"version {pin.version} is pinned by {pin}"
    return None


def _end(facts: Snapshot, transition: Transition, obstacle: str | None) -> bool:
    """Record the end of a transition; return whether its write to MLflow, if there was one, came too late.

    A transition that a later one overtook meanwhile is void, so that the last one to Production by intent is also the last
    one by end.
    """
    reason = obstacle or _overtaken(facts, transition)
    end = TransitionEnd(key=transition.key, outcome="void" if reason else "done", reason=reason or "")
    return not facts.append(end) or reason != obstacle


def _overtaken(facts: Ledger | Snapshot, transition: Transition) -> str | None:
    """Name a later transition of the same version, or a later one to Production if this one is to Production."""
    moves = facts.all(Transition)
    position = [move.key for move in moves].index(transition.key)
    for move in moves[position + 1 :]:
        if move.version == transition.version or move.to_stage == transition.to_stage == "Production":
            return f"overtaken by the transition {move.key} of version {move.version}"
    return None
