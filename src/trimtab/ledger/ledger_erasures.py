"""Erasures in the ledger: that rows are gone for good, without their names."""

from sqlalchemy import insert, select

from trimtab.ledger import tables
from trimtab.ledger.engine import Database
from trimtab.ledger.records import Erasure, ErasurePhase, ErasureRecord
from trimtab.ledger.tombstones import Tombstones


class ErasureLedger(Database):
    """Who had which rows erased, and what went with them."""

    def record_erasure(self, erasure: Erasure, phase: ErasurePhase) -> bool:
        """Write that an erasure begins, or is done; False when that stands there already."""
        table = tables.erasures
        key = {"model": erasure.model, "key": erasure.key, "phase": phase}
        with self.write() as connection:
            if connection.execute(select(table.c.id).filter_by(**key)).first() is not None:
                return False
            connection.execute(
                insert(table).values(
                    **key,
                    salt=erasure.salt,
                    rows=list(erasure.rows),
                    batches=list(erasure.batches),
                    objects=list(erasure.objects),
                    versions=list(erasure.versions),
                    actor=erasure.actor,
                    reason=erasure.reason,
                    at=self.now(),
                )
            )
        return True

    def erasures(self, model: str) -> list[ErasureRecord]:
        """Return all erasures, oldest first: each as intended, and again once it is done."""
        table = tables.erasures
        with self.read() as connection:
            found = connection.execute(select(table).where(table.c.model == model).order_by(table.c.id)).all()
        return [
            ErasureRecord(
                erasure=Erasure(
                    model=row.model,
                    key=row.key,
                    salt=row.salt,
                    rows=tuple(row.rows),
                    batches=tuple(row.batches),
                    objects=tuple(row.objects),
                    versions=tuple(row.versions),
                    actor=row.actor,
                    reason=row.reason,
                ),
                phase=row.phase,
                at=row.at,
            )
            for row in found
        ]

    def tombstones(self, model: str) -> Tombstones:
        """Return what tells a forgotten row; an erasure counts from its intent on."""
        return Tombstones.of(record.erasure for record in self.erasures(model))
