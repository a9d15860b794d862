"""What the writer of the prediction log shows of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What waits, and what was done since the start, in records but for the bytes.

    `queued` waits its turn; `spooled` waits because the store was away or slow, or the process before died. `written`
    counts all that is in the store, `replayed` those of it that were spooled, `refused` those that no store takes and
    that were put aside, `failures` the tries that failed.
    """

    queued: int
    spooled: int
    spool_bytes: int
    spool_limit_bytes: float
    written: int
    replayed: int
    refused: int
    failures: int
    away: bool
