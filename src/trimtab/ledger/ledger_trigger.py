"""Requests, decisions and leases in the ledger."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from trimtab.contracts import Alert, Decision, Plan, Request, from_plain, plain
from trimtab.errors import LeaseHeld
from trimtab.ledger import tables
from trimtab.ledger.engine import Database
from trimtab.ledger.records import DecisionRecord, LeaseRecord, RequestRecord

FINAL = ("RETRAIN", "JUDGE", "ROLLBACK", "SKIP")
"""Actions that answer a request for good; a WAIT is asked again."""


_CLOCKS_APART = timedelta(minutes=5)
"""By how much the clocks of two machines may differ."""


class TriggerLedger(Database):
    """Who asked for a retraining, and what the arbiter answered."""

    def add_request(self, request: Request) -> int:
        """Write a request and return its id; a second one with the same (model, source, episode) is the first."""
        table = tables.requests
        key = {"model": request.model, "source": request.source, "episode": request.episode}
        with self.write() as connection:
            known: int | None = connection.execute(select(table.c.id).filter_by(**key)).scalar()
            if known is not None:
                return known
            row = insert(table).values(**key, request=plain(request), at=self.now())
            return int(connection.execute(row.returning(table.c.id)).scalar_one())

    def requests(self, model: str, *, ids: Collection[int] | None = None) -> list[RequestRecord]:
        """Return all requests, or those with some ids, oldest first."""
        wanted = tables.requests.c.model == model
        if ids is not None:
            wanted &= tables.requests.c.id.in_(ids)
        return self._requests(wanted)

    def waiting(self, model: str) -> list[RequestRecord]:
        """Return the requests that have no final answer yet, oldest first."""
        decided = tables.decisions
        answered = select(decided.c.request_id).where(
            (decided.c.model == model) & decided.c.action.in_(FINAL)
        )
        return self._requests((tables.requests.c.model == model) & tables.requests.c.id.not_in(answered))

    def unread(self, model: str) -> list[RequestRecord]:
        """Return the requests that the arbiter has not looked at even once, oldest first."""
        looked_at = select(tables.decisions.c.request_id).where(tables.decisions.c.model == model)
        return self._requests((tables.requests.c.model == model) & tables.requests.c.id.not_in(looked_at))

    def _requests(self, wanted: ColumnElement[bool]) -> list[RequestRecord]:
        table = tables.requests
        with self.read() as connection:
            rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        return [RequestRecord(id=row.id, request=from_plain(Request, row.request), at=row.at) for row in rows]

    def decide(
        self, model: str, decision: Decision, *, holder: str, event_time: datetime, plan: Plan | None = None
    ) -> DecisionRecord | None:
        """Write the arbiter's answer; None for a WAIT in the same words as the last one, which is not written again."""
        table = tables.decisions
        mine = select(table).where((table.c.model == model) & (table.c.request_id == decision.request_id))
        newest = mine.order_by(table.c.id.desc()).limit(1)
        with self.write() as connection:
            last = connection.execute(newest).one_or_none()
            if last is not None and (last.action, last.reason) == (decision.action, decision.reason):
                return None
            connection.execute(
                insert(table).values(
                    model=model,
                    request_id=decision.request_id,
                    action=decision.action,
                    reason=decision.reason,
                    holder=holder,
                    plan=None if plan is None else plain(plan),
                    event_time=event_time,
                    at=self.now(),
                )
            )
            return _decision(connection.execute(newest).one())

    def decisions(
        self,
        model: str,
        *,
        actions: Sequence[str] | None = None,
        since: datetime | None = None,
        requests: Collection[int] | None = None,
    ) -> list[DecisionRecord]:
        """Return the answers, oldest first: all, or those of some actions, since an event time, or to some requests."""
        table = tables.decisions
        wanted = table.c.model == model
        if actions is not None:
            wanted &= table.c.action.in_(actions)
        if since is not None:
            wanted &= table.c.event_time >= since
        if requests is not None:
            wanted &= table.c.request_id.in_(requests)
        with self.read() as connection:
            rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        return [_decision(row) for row in rows]

    def retrainings(self, model: str) -> list[DecisionRecord]:
        """Return the decisions that started a training run, oldest first."""
        return self.decisions(model, actions=["RETRAIN"])

    def runs(self, model: str) -> list[DecisionRecord]:
        """Return the decisions that started a run: a retraining, or the next look at a challenger; oldest first."""
        return self.decisions(model, actions=["RETRAIN", "JUDGE"])

    def record_alert(self, model: str, alert: Alert) -> None:
        """Write that an alert fires, or is resolved."""
        with self.write() as connection:
            connection.execute(
                insert(tables.alerts).values(
                    model=model,
                    fingerprint=alert.fingerprint,
                    starts_at=alert.starts_at.isoformat(),
                    status=alert.status,
                    alert=plain(alert),
                    at=self.now(),
                )
            )

    def last_alert(self, model: str, fingerprint: str) -> Alert | None:
        """Return what was last written of a fingerprint."""
        table = tables.alerts
        mine = select(table.c.alert).where((table.c.model == model) & (table.c.fingerprint == fingerprint))
        with self.read() as connection:
            row = connection.execute(mine.order_by(table.c.id.desc()).limit(1)).scalar()
        return None if row is None else from_plain(Alert, row)

    def lease_holder(self, name: str) -> str | None:
        """Return who holds a lease that has not expired."""
        found = self.lease(name)
        return None if found is None else found.holder

    def lease(self, name: str) -> LeaseRecord | None:
        """Return a lease that has not expired."""
        with self.read() as connection:
            row = connection.execute(select(tables.leases).filter_by(name=name)).one_or_none()
        if row is None or self._expired(row):
            return None
        return LeaseRecord(holder=row.holder, acquired_at=row.acquired_at, heartbeat_at=row.heartbeat_at)

    def hold(self, name: str, *, holder: str, minutes: float) -> None:
        """Take a lease, or prolong one's own; the heartbeat of a run.

        Raises:
            LeaseHeld: Somebody else holds it, and it has not expired.
        """
        table = tables.leases
        now = self.now()
        times = {"heartbeat_at": now, "expires_at": now + timedelta(minutes=minutes)}
        with self.write() as connection:
            row = connection.execute(select(table).filter_by(name=name)).one_or_none()
            if row is None:
                connection.execute(insert(table).values(name=name, holder=holder, acquired_at=now, **times))
                return
            if row.holder != holder and not self._expired(row):
                raise LeaseHeld(name, row.holder, row.expires_at)
            acquired = row.acquired_at if row.holder == holder else now
            connection.execute(
                update(table).filter_by(name=name).values(holder=holder, acquired_at=acquired, **times)
            )

    def release(self, name: str, *, holder: str) -> None:
        """Give a lease back; no effect when somebody else holds it by now."""
        with self.write() as connection:
            connection.execute(delete(tables.leases).filter_by(name=name, holder=holder))

    def _expired(self, row: Row[Any]) -> bool:
        """Say whether a lease ended; one from the future was written before the clock was set back, and binds nobody."""
        return bool(row.expires_at <= self.now() or row.heartbeat_at > self.now() + _CLOCKS_APART)


def _decision(row: Row[Any]) -> DecisionRecord:
    return DecisionRecord(
        id=row.id,
        model=row.model,
        request_id=row.request_id,
        action=row.action,
        reason=row.reason,
        holder=row.holder,
        plan=None if row.plan is None else from_plain(Plan, row.plan),
        event_time=row.event_time,
        at=row.at,
    )
