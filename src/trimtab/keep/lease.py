"""Of backup and gc one runs at a time."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trimtab.steps.loop import Loop

LEASE = "keep"

Alive = Callable[[], None]


@contextmanager
def exclusively(loop: Loop) -> Iterator[Alive]:
    """Hold the lease; what is yielded prolongs it, and is to be called between long steps.

    Raises:
        LeaseHeld: A backup or gc runs, or was killed less than `trigger.lease_minutes` ago.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}"

    def alive() -> None:
        loop.ledger.hold(LEASE, holder=holder, minutes=loop.params.trigger.lease_minutes)

    alive()
    try:
        yield alive
    finally:
        loop.ledger.release(LEASE, holder=holder)
