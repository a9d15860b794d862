"""Requests, decisions and leases in the ledger."""

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from trimtab.contracts import Decision, Plan, Request, plain
from trimtab.errors import LeaseHeld
from trimtab.registry import tables
from trimtab.registry.engine import Database
from trimtab.registry.records import DecisionRecord, RequestRecord
from trimtab.registry.rows import value

FINAL = ("RETRAIN", "JUDGE", "SKIP")
"""Actions that answer a request for good; a WAIT is asked again."""


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

    def requests(self, model: str) -> list[RequestRecord]:
        """Return all requests, oldest first."""
        table = tables.requests
        with self.read() as connection:
            rows = connection.execute(select(table).where(table.c.model == model).order_by(table.c.id)).all()
        return [RequestRecord(id=row.id, request=value(Request, row.request), at=row.at) for row in rows]

    def waiting(self, model: str) -> list[RequestRecord]:
        """Return the requests that have no final answer yet, oldest first."""
        with self.read():
            answered = {record.request_id for record in self.decisions(model) if record.action in FINAL}
            return [record for record in self.requests(model) if record.id not in answered]

    def decide(
        self, model: str, decision: Decision, *, holder: str, event_time: datetime, plan: Plan | None = None
    ) -> DecisionRecord | None:
        """Write the arbiter's answer; None for a WAIT in the same words as the last one, which is not written again."""
        with self.write() as connection:
            last = [record for record in self.decisions(model) if record.request_id == decision.request_id][
                -1:
            ]
            if last and (last[0].action, last[0].reason) == (decision.action, decision.reason):
                return None
            connection.execute(
                insert(tables.decisions).values(
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
            return self.decisions(model)[-1]

    def decisions(self, model: str) -> list[DecisionRecord]:
        """Return all answers, oldest first."""
        table = tables.decisions
        with self.read() as connection:
            rows = connection.execute(select(table).where(table.c.model == model).order_by(table.c.id)).all()
        return [
            DecisionRecord(
                id=row.id,
                model=row.model,
                request_id=row.request_id,
                action=row.action,
                reason=row.reason,
                holder=row.holder,
                plan=None if row.plan is None else value(Plan, row.plan),
                event_time=row.event_time,
                at=row.at,
            )
            for row in rows
        ]

    def retrainings(self, model: str) -> list[DecisionRecord]:
        """Return the decisions that started a training run, oldest first."""
        return [record for record in self.decisions(model) if record.action == "RETRAIN"]

    def runs(self, model: str) -> list[DecisionRecord]:
        """Return the decisions that started a run: a retraining, or the next look at a challenger; oldest first."""
        return [record for record in self.decisions(model) if record.action in ("RETRAIN", "JUDGE")]

    def lease_holder(self, name: str) -> str | None:
        """Return who holds a lease that has not expired."""
        with self.read() as connection:
            row = connection.execute(select(tables.leases).filter_by(name=name)).one_or_none()
        return None if row is None or row.expires_at <= self.now() else str(row.holder)

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
            if row.holder != holder and row.expires_at > now:
                raise LeaseHeld(name, row.holder, row.expires_at)
            acquired = row.acquired_at if row.holder == holder else now
            connection.execute(
                update(table).filter_by(name=name).values(holder=holder, acquired_at=acquired, **times)
            )

    def release(self, name: str, *, holder: str) -> None:
        """Give a lease back; no effect when somebody else holds it by now."""
        with self.write() as connection:
            connection.execute(delete(tables.leases).filter_by(name=name, holder=holder))
