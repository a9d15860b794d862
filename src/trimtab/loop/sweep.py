"""What waits, whatever became of the event that announced it."""

from trimtab.data.landing import waiting as landed
from trimtab.loop.loop import open_loop
from trimtab.loop.monitor import unmonitored


def waiting() -> dict[str, bool]:
    """Say whether landed batches, unmonitored batches or unanswered requests wait."""
    loop = open_loop()
    grace = loop.params.data.landing_grace_seconds
    return {
        "landed": bool(landed(loop.stores.landing, grace_seconds=grace, now=loop.ledger.now())),
        "unmonitored": bool(unmonitored(loop)),
        "requests": bool(loop.ledger.waiting(loop.model)),
    }
