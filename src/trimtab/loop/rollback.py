"""Go back to a version that was in Production before."""

from collections.abc import Sequence
from datetime import datetime

from trimtab.contracts import OrderVerb
from trimtab.errors import UnsafeModel
from trimtab.ledger.facts import Order, Transition, Version
from trimtab.loop.loop import Loop
from trimtab.registry import load

WATCH_RULE = "the watch rule"


def trouble(loop: Loop, version: str) -> str | None:
    """Load a version as the service would; return what is wrong with it, or None."""
    registered = loop.ledger.get(Version, version)
    if registered is None:
        return "the ledger holds no digest of it: it was not registered by trimtab."
    try:
        load.load(
            registered.training.source,
            registered.training.digest,
            loop.params.model.trusted_types,
            cache=loop.stores.home / "models",
        )
    except UnsafeModel as error:
        return str(error)
    return None


def same_recipe(loop: Loop, version: str) -> list[str]:
    """Return a version, and its refit or the version that was judged in its place."""
    versions = loop.ledger.all(Version)
    judged = next((each.refit_of for each in versions if each.version == version), None) or version
    return [each.version for each in versions if judged in (each.version, each.refit_of)]


def facts_of_rollback(
    loop: Loop, *, bad: str, to: str, actor: str, reason: str, event_time: datetime, key: str
) -> tuple[Transition, Sequence[Order]]:
    """Return the transition of a rollback, and the orders that go with it: the rollback, and the blocks of the bad recipe.

    Args:
        loop: The stores.
        bad: The champion that is taken back. Neither it nor a refit of it comes to Production until `trimtab model unblock`.
        to: The version to go back to, which was tried with `trouble` before.
        actor: Who.
        reason: Why.
        event_time: Of the transition.
        key: What makes it happen once.
    """

    def order(verb: OrderVerb, version: str) -> Order:
        return Order(verb=verb, version=version, actor=actor, reason=reason, event_time=event_time)

    transition = Transition(
        key=f"{key}:rollback",
        kind="rollback",
        version=to,
        to_stage="Production",
        replaces=bad,
        actor=actor,
        reason=f"ROLLBACK: {reason}",
        evidence_sha256=None,
        event_time=event_time,
    )
    return transition, [
        order("rollback", to),
        *(order("block", version) for version in same_recipe(loop, bad)),
    ]
