"""The system clock: the only caller of `now()`.

Leases, time-outs and alert episodes read it. Everything about data (ages, cooldowns, windows, label cut-offs) reads the
event clock instead, which is the end of the newest complete batch: see `trimtab.ledger.ledger.Ledger.event_now`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from trimtab.settings import pinned_time

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the time in UTC, or the one that `TRIMTAB_NOW` (ISO 8601) sets for a replay."""
    pinned = pinned_time()
    return pinned.astimezone(UTC) if pinned else datetime.now(UTC)
