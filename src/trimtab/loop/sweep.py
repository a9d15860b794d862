"""What waits, even if the event that announced it was lost."""

from trimtab.data.landing import waiting as landed
from trimtab.ledger import queries
from trimtab.loop.loop import open_loop
from trimtab.loop.measure import unmeasured


def waiting() -> dict[str, bool]:
    """Say whether landed batches, unmeasured batches or unanswered requests wait."""
    loop = open_loop()
    return {
        "landed": bool(
            landed(
                loop.stores.landing,
                grace_seconds=loop.params.data.landing_grace_seconds,
                now=loop.ledger.now(),
            )
        ),
        "unmonitored": bool(unmeasured(loop) or queries.unobserved(loop.ledger)[1]),
        "requests": bool(queries.waiting_requests(loop.ledger)),
    }
