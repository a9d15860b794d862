"""`trimtab reconcile`: mend what a crash left between ledger, stages and aliases."""

import logging
from dataclasses import asdict
from typing import Any

from trimtab.registry.reconcile import Repairs
from trimtab.registry.reconcile import reconcile as repair
from trimtab.steps.loop import Loop, open_loop

log = logging.getLogger(__name__)


def reconcile() -> dict[str, Any]:
    """Mend, and return what was mended."""
    return asdict(mend(open_loop()))


def mend(loop: Loop) -> Repairs:
    """Mend an open loop, and say in the log what was found."""
    repairs = repair(loop.ledger, loop.registry, loop.model)
    if repairs.finished or repairs.archived or repairs.aliases:
        log.warning("Reconciled %s: %s", loop.model, repairs)
    if repairs.foreign is not None:
        log.error(
            "In Production of %s stands version %s, which the ledger did not put there. Somebody moved it by hand: "
            "see `trimtab` transitions and move the right version back in the MLflow UI",
            loop.model,
            repairs.foreign,
        )
    return repairs
