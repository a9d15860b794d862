"""Leases: one process at a time does a piece of work, and a process that was paused too long cannot go on writing.

Each new holder gets a higher epoch. A write carries the epoch of its lease, and the ledger refuses an older one.
Source: Gray and Cheriton, Leases, SOSP 1989; the epoch is a fencing token.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from trimtab.clock import Clock
from trimtab.errors import LeaseHeld, LeaseLost, StoreUnreachable
from trimtab.ledger.engine import Database
from trimtab.ledger.tables import leases

log = logging.getLogger(__name__)

_CLOCKS_APART = timedelta(minutes=5)
"""By how much the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease as its holder took it."""

    name: str
    holder: str
    epoch: int
    minutes: float
    acquired_at: datetime
    heartbeat_at: datetime


class Leases:
    """The leases of one ledger database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._now = clock

    def current(self, name: str) -> Lease | None:
        """Return the lease of this name if somebody holds it and it has not expired."""
        with self._database.read() as connection:
            row = connection.execute(select(leases).filter_by(name=name)).one_or_none()
        return _lease(row) if row is not None and self._binds(row) else None

    def take(self, name: str, *, holder: str, minutes: float) -> Lease:
        """Take a lease, or renew one's own.

        Raises:
            LeaseHeld: Somebody else holds it and it has not expired.
        """
        now = self._now()
        values: dict[str, Any] = {"heartbeat_at": now, "expires_at": now + timedelta(minutes=minutes)}
        with self._database.transaction(name) as connection:
            row = connection.execute(select(leases).filter_by(name=name).with_for_update()).one_or_none()
            if row is None:
                connection.execute(
                    insert(leases).values(name=name, holder=holder, epoch=1, acquired_at=now, **values)
                )
            elif row.holder == holder:
                connection.execute(update(leases).filter_by(name=name).values(**values))
            elif self._binds(row):
                raise LeaseHeld(name, row.holder, row.expires_at)
            else:
                values |= {"holder": holder, "epoch": row.epoch + 1, "acquired_at": now}
                connection.execute(update(leases).filter_by(name=name).values(**values))
            return _lease(connection.execute(select(leases).filter_by(name=name)).one())

    def renew(self, lease: Lease) -> None:
        """Show a sign of life.

        Raises:
            LeaseLost: Somebody else took the lease meanwhile.
        """
        now = self._now()
        with self._database.transaction(lease.name) as connection:
            require(connection, lease)
            connection.execute(
                update(leases)
                .filter_by(name=lease.name)
                .values(heartbeat_at=now, expires_at=now + timedelta(minutes=lease.minutes))
            )

    def check(self, lease: Lease) -> None:
        """Refuse to go on with a lease that somebody else took.

        Raises:
            LeaseLost: Somebody else took it.
        """
        with self._database.read() as connection:
            require(connection, lease)

    def release(self, lease: Lease) -> None:
        """Give a lease back; no effect if somebody else took it meanwhile."""
        with self._database.transaction(lease.name) as connection:
            connection.execute(
                update(leases)
                .filter_by(name=lease.name, holder=lease.holder, epoch=lease.epoch)
                .values(holder=None)
            )

    @contextmanager
    def kept_alive(self, lease: Lease) -> Iterator[None]:
        """Renew a lease from a thread, three times as often as needed, so that it ends when this process does."""
        ended = threading.Event()
        thread = threading.Thread(target=self._renew_until, args=(ended, lease), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextmanager
    def held(self, name: str, *, holder: str, minutes: float) -> Iterator[Lease]:
        """Take a lease, keep it alive, and give it back at the end.

        Raises:
            LeaseHeld: Somebody else holds it and it has not expired.
        """
        lease = self.take(name, holder=holder, minutes=minutes)
        try:
            with self.kept_alive(lease):
                yield lease
        finally:
            self.release(lease)

    def _renew_until(self, ended: threading.Event, lease: Lease) -> None:
        while not ended.wait(lease.minutes * 60 / 3):
            try:
                self.renew(lease)
            except LeaseLost as error:
                log.error("%s", error)
                return
            except (StoreUnreachable, SQLAlchemyError) as error:  # there is time for two more tries
                log.warning("The lease %r could not be renewed: %s", lease.name, error)

    def _binds(self, row: Row[Any]) -> bool:
        """Say whether a row is a lease in force; one from the future was written before the clock was set back."""
        now = self._now()
        return row.holder is not None and row.expires_at > now and row.heartbeat_at <= now + _CLOCKS_APART


def require(connection: Connection, lease: Lease) -> None:
    """Refuse a lease of an older epoch, in the transaction of the write that it is for.

    Raises:
        LeaseLost: Somebody else took the lease.
    """
    row = connection.execute(
        select(leases).filter_by(name=lease.name).with_for_update(read=True)
    ).one_or_none()
    if row is None or row.epoch != lease.epoch or row.holder not in (None, lease.holder):
        raise LeaseLost(lease.name, lease.holder, row.holder if row is not None else None)


def _lease(row: Row[Any]) -> Lease:
    return Lease(
        name=row.name,
        holder=row.holder,
        epoch=row.epoch,
        minutes=(row.expires_at - row.heartbeat_at).total_seconds() / 60,
        acquired_at=row.acquired_at,
        heartbeat_at=row.heartbeat_at,
    )
