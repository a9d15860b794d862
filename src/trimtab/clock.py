"""The system clock. No other module calls `now()`.

Leases, time-outs, alert episodes and tokens use it. Everything about data (ages, budgets, windows, label cut-offs) uses the
event clock instead, which is the end of the newest batch in force: see `trimtab.ledger.state.event_now`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from trimtab import settings

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the time in UTC, or the fixed time of `TRIMTAB_NOW` (ISO 8601) in a replay."""
    fixed = settings.fixed_time()
    return fixed.astimezone(UTC) if fixed else datetime.now(UTC)
