"""`trimtab loop reconcile`: mend what a crash left between ledger, stages and aliases."""

import logging
from dataclasses import asdict
from typing import Any

from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.registry.reconcile import Foreign, Repairs
from trimtab.registry.reconcile import reconcile as repair

log = logging.getLogger(__name__)


def reconcile() -> dict[str, Any]:
    """Mend, and return what was mended."""
    return asdict(mend(open_loop()))


def mend(loop: Loop) -> Repairs:
    """Mend an open loop, say in the log what was found, and tell people of a change by hand."""
    wanted = loop.params.registry.foreign_change
    repairs = repair(loop.ledger, loop.registry, loop.model, foreign_change=wanted)
    if repairs.finished or repairs.archived or repairs.aliases:
        log.warning("Reconciled %s: %s", loop.model, repairs)
    if repairs.foreign is not None:
        _tell(loop, repairs.foreign)
    return repairs


def _tell(loop: Loop, foreign: Foreign) -> None:
    policy, found = loop.params.registry.foreign_change, ", ".join(foreign.found) or "none"
    done = (
        f"registry.foreign_change is {policy}: version {foreign.moved.version} is in Production now"
        if foreign.moved
        else f"registry.foreign_change is {policy}: nothing was moved. Move the right one back in the MLflow UI, or go "
        f"back with `trimtab model rollback`"
    )
    key = foreign.moved.key if foreign.moved else f"foreign:{foreign.expected}:{found}"
    text = f"version {found} stood in Production, the ledger put version {foreign.expected} there; {done}"
    notify(loop, key=key, kind="foreign_change", text=text)
