"""Of backup, gc and forget one runs at a time."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from trimtab.errors import LeaseHeld, StoreUnreachable
from trimtab.loop.loop import Loop

log = logging.getLogger(__name__)

LEASE = "keep"

Alive = Callable[[], None]


@contextmanager
def exclusively(loop: Loop, name: str = LEASE, *, holder: str | None = None) -> Iterator[Alive]:
    """Hold a lease; a thread of this process prolongs it, so that it ends with the process, whatever ends that.

    Args:
        loop: Whose ledger holds the lease.
        name: Of the lease.
        holder: Who takes it; the same may take it again. This process when not given.

    Yields:
        What prolongs it at once, and raises `LeaseHeld` when it was lost: to be called before what cannot be undone.

    Raises:
        LeaseHeld: A backup, gc or forget runs, or was killed less than `trigger.lease_minutes` ago.
    """
    me, minutes = holder or f"{socket.gethostname()}:{os.getpid()}", loop.params.trigger.lease_minutes

    def alive() -> None:
        loop.ledger.hold(name, holder=me, minutes=minutes)

    alive()
    ended = threading.Event()
    pulse = threading.Thread(target=_prolong, args=(alive, ended, minutes * 20), daemon=True)
    pulse.start()
    try:
        yield alive
    finally:
        ended.set()
        pulse.join()
        loop.ledger.release(name, holder=me)


def _prolong(alive: Alive, ended: threading.Event, seconds: float) -> None:
    """Prolong a lease three times as often as it needs to be, until it is given back or lost."""
    while not ended.wait(seconds):
        try:
            alive()
        except LeaseHeld as lost:
            log.error("%s", lost)
            return
        except (
            StoreUnreachable,
            OperationalError,
        ) as error:  # busy or away: there is time for two more tries
            log.warning("The lease could not be prolonged: %s", error)
