"""Go back to a version that was in Production before."""

from datetime import datetime

from trimtab.contracts import Order
from trimtab.errors import UnsafeModel
from trimtab.ledger.records import Transition
from trimtab.loop.loop import Loop
from trimtab.registry import load

WATCH_RULE = "the watch rule"


def trouble(loop: Loop, version: str) -> str | None:
    """Load a version as the service would; return what is wrong with it, or None."""
    record = loop.ledger.versions(loop.model).get(version)
    if record is None:
        return "the ledger holds no digest of it: it was not registered by trimtab."
    try:
        load.load(
            record.training.source,
            record.training.digest,
            loop.params.model.trusted_types,
            cache=loop.stores.home / "models",
        )
    except UnsafeModel as error:
        return str(error)
    return None


def relatives(loop: Loop, version: str) -> list[str]:
    """Return a version, and its refit or its judged sibling: one recipe."""
    versions = loop.ledger.versions(loop.model)
    judged = versions[version].refit_of or version
    return [name for name, record in versions.items() if judged in (name, record.refit_of)]


def intend(
    loop: Loop, *, bad: str, to: str, actor: str, reason: str, event_time: datetime, key: str | None = None
) -> Transition:
    """Write the order, block the recipe of the bad version, and write the intent; `transitions.finish` does the rest.

    Args:
        loop: The stores.
        bad: The champion that is taken back; neither it nor its sibling goes to Production until `trimtab model unblock`.
        to: The version to go back to, which was tried with `trouble` before.
        actor: Who.
        reason: Why.
        event_time: Of the transition.
        key: What makes it happen once; the order's number when it is a person's.
    """
    ledger = loop.ledger

    def order(verb: str, version: str) -> int:
        given = Order(
            model=loop.model,
            verb=verb,  # type: ignore[arg-type]  # one of two literals below
            version=version,
            actor=actor,
            reason=reason,
            event_time=event_time,
        )
        return ledger.record_order(given).id

    with ledger.write():
        number = order("rollback", to)
        for version in relatives(loop, bad):
            order("block", version)
        step = Transition(
            model=loop.model,
            key=f"{key or f'order-{number}'}:rollback",
            version=to,
            to_stage="Production",
            replaces=bad,
            actor=actor,
            reason=f"ROLLBACK: {reason}",
            evidence_sha256=None,
            event_time=event_time,
        )
        ledger.intend(step)
    return step
