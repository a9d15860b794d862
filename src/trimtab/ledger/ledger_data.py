"""Batches, quarantine and observations in the ledger."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, insert, select

from trimtab.contracts import BatchRecord, BatchRef, Manifest, Observation, Quarantined, from_plain, plain
from trimtab.ledger import tables
from trimtab.ledger.engine import Database
from trimtab.ledger.records import ObservationRecord, QuarantineRecord


class DataLedger(Database):
    """What came in, what was refused, what was measured."""

    def record_batch(self, record: BatchRecord) -> bool:
        """Write a batch revision; False when it stands there already."""
        manifest = record.manifest
        with self.write() as connection:
            if self.batch(manifest.model, manifest.batch, manifest.revision) is not None:
                return False
            connection.execute(
                insert(tables.batches).values(
                    model=manifest.model,
                    batch=manifest.batch,
                    revision=manifest.revision,
                    start=manifest.start,
                    end=manifest.end,
                    manifest=plain(manifest),
                    commit=record.commit,
                    md5=record.md5,
                    at=self.now(),
                )
            )
        return True

    def batch(self, model: str, batch: str, revision: int) -> BatchRecord | None:
        """Return one revision of one batch."""
        table = tables.batches
        wanted = (table.c.model == model) & (table.c.batch == batch) & (table.c.revision == revision)
        with self.read() as connection:
            row = connection.execute(select(table).where(wanted)).one_or_none()
        return None if row is None else _batch(row.manifest, row.commit, row.md5)

    def batches(self, model: str, *, last: int | None = None) -> list[BatchRecord]:
        """Return the newest revision of every batch, or of the `last` ones in time, oldest batch first."""
        table = tables.batches
        newest = (
            select(table.c.batch, func.max(table.c.revision).label("revision"))
            .where(table.c.model == model)
            .group_by(table.c.batch)
            .subquery()
        )
        query = (
            select(table)
            .join(newest, (table.c.batch == newest.c.batch) & (table.c.revision == newest.c.revision))
            .where(table.c.model == model)
            .order_by(table.c.start.desc())
            .limit(last)
        )
        with self.read() as connection:
            rows = connection.execute(query).all()
        return [_batch(row.manifest, row.commit, row.md5) for row in reversed(rows)]

    def event_now(self, model: str) -> datetime | None:
        """Return the event clock: the end of the newest batch, or None before the first."""
        with self.read() as connection:
            now: datetime | None = connection.execute(
                select(func.max(tables.batches.c.end)).where(tables.batches.c.model == model)
            ).scalar()
        return now

    def unmonitored(self, model: str, champion: str, since: datetime) -> list[BatchRef]:
        """Return every batch revision in force that starts at or after `since` and that this champion has not scored."""
        table = tables.observations
        query = select(table.c.batch, table.c.revision).where(
            (table.c.model == model) & (table.c.champion == champion)
        )
        with self.read() as connection:
            seen = {(row.batch, row.revision) for row in connection.execute(query)}
            in_force = self.batches(model)
        refs = [
            BatchRef(batch=record.manifest.batch, revision=record.manifest.revision)
            for record in in_force
            if record.manifest.start >= since and record.manifest.rows  # one may have been forgotten whole
        ]
        return [ref for ref in refs if (ref.batch, ref.revision) not in seen]

    def record_quarantine(self, model: str, record: QuarantineRecord) -> None:
        """Write that an entry was quarantined, released or dropped; the same quarantining twice is one row."""
        with self.write() as connection:
            if record.action == "quarantined" and record.entry.name in self.open_quarantine(model):
                return
            connection.execute(
                insert(tables.quarantine).values(
                    model=model,
                    name=record.entry.name,
                    action=record.action,
                    entry=plain(record.entry),
                    actor=record.actor,
                    reason=record.reason,
                    at=record.at,
                )
            )

    def quarantine_log(self, model: str) -> list[QuarantineRecord]:
        """Return all that ever happened to the quarantine, oldest first."""
        table = tables.quarantine
        with self.read() as connection:
            rows = connection.execute(select(table).where(table.c.model == model).order_by(table.c.id)).all()
        return [
            QuarantineRecord(
                entry=from_plain(Quarantined, row.entry),
                action=row.action,
                actor=row.actor,
                reason=row.reason,
                at=row.at,
            )
            for row in rows
        ]

    def open_quarantine(self, model: str) -> dict[str, Quarantined]:
        """Return the entries that still wait for a person, by name."""
        newest = {record.entry.name: record for record in self.quarantine_log(model)}
        return {name: record.entry for name, record in newest.items() if record.action == "quarantined"}

    def record_observation(self, observation: Observation) -> bool:
        """Write what was measured; False when this champion had been measured on that revision already."""
        table = tables.observations
        key = {
            "model": observation.model,
            "batch": observation.batch,
            "revision": observation.revision,
            "champion": observation.champion,
        }
        with self.write() as connection:
            if connection.execute(select(table.c.id).filter_by(**key)).first() is not None:
                return False
            connection.execute(insert(table).values(**key, observation=plain(observation), at=self.now()))
        return True

    def observations(self, model: str, *, of: Collection[str] | None = None) -> list[ObservationRecord]:
        """Return all observations, or those of some batches, oldest first."""
        table = tables.observations
        wanted = table.c.model == model
        if of is not None:
            wanted &= table.c.batch.in_(of)
        with self.read() as connection:
            rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        return [
            ObservationRecord(id=row.id, observation=from_plain(Observation, row.observation), at=row.at)
            for row in rows
        ]


def _batch(manifest: object, commit: str, md5: str) -> BatchRecord:
    return BatchRecord(manifest=from_plain(Manifest, manifest), commit=commit, md5=md5)
