"""Backup, garbage collection and erasure exclude each other, across all models of a ledger."""

import os
import socket
from contextlib import AbstractContextManager

from trimtab.ledger import Lease
from trimtab.loop.loop import Loop

LEASE = "maintenance"


def exclusively(loop: Loop, *, holder: str | None = None) -> AbstractContextManager[Lease]:
    """Hold the lease of which a ledger has one. Check it before each step that cannot be undone.

    Args:
        loop: Its ledger holds the lease.
        holder: Who takes it; the same holder may take it again. This process if not given.

    Raises:
        LeaseHeld: A backup, gc or erasure is running, or was killed less than `trigger.lease_minutes` ago.
    """
    holder = holder or f"{socket.gethostname()}:{os.getpid()}"
    return loop.ledger.leases.held(LEASE, holder=holder, minutes=loop.params.trigger.lease_minutes)
