"""`trimtab loop reconcile`: make ledger, stages and aliases agree again after a crash."""

import logging
from dataclasses import asdict
from typing import Any

from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.registry import reconcile as registry
from trimtab.registry.reconcile import Foreign, Repairs

log = logging.getLogger(__name__)


def reconcile() -> dict[str, Any]:
    """Repair what a crash left, and return what was repaired."""
    return asdict(repair(open_loop()))


def repair(loop: Loop) -> Repairs:
    """Repair an open loop, log what was done, and notify people of changes by hand and of what cannot be settled."""
    repairs = registry.reconcile(
        loop.ledger, loop.registry, foreign_change=loop.params.registry.foreign_change
    )
    if repairs.finished or repairs.void or repairs.archived or repairs.aliases:
        log.warning("Reconciled %s: %s", loop.model, repairs)
    for key, trouble in repairs.unsettled.items():
        text = f"the transition {key} can be neither finished nor undone: {trouble}"
        notify(loop, key=f"unsettled:{key}", kind="unsettled", text=text)
    if repairs.foreign is not None:
        _notify_foreign_change(loop, repairs.foreign)
    return repairs


def _notify_foreign_change(loop: Loop, foreign: Foreign) -> None:
    policy, present = loop.params.registry.foreign_change, ", ".join(foreign.present) or "none"
    done = (
        f"registry.foreign_change is {policy}: version {foreign.moved.version} is in Production now"
        if foreign.moved
        else f"registry.foreign_change is {policy}: nothing was moved. Move the right one back in the MLflow UI, or run "
        f"`trimtab model rollback`"
    )
    key = foreign.moved.key if foreign.moved else f"foreign:{foreign.expected}:{present}"
    text = f"version {present} was in Production, but the ledger put version {foreign.expected} there; {done}"
    notify(loop, key=key, kind="foreign_change", text=text)
