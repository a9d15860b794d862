"""People's orders and the notices to them, in the ledger."""

from sqlalchemy import insert, select

from trimtab.contracts import Order
from trimtab.ledger import tables
from trimtab.ledger.engine import Database
from trimtab.ledger.records import NoticeRecord, OrderRecord, Standing

_OPENS = {"pause": "resume", "pin": "unpin", "block": "unblock"}


class PeopleLedger(Database):
    """Who overruled the loop and why, and what people were told."""

    def record_order(self, order: Order) -> OrderRecord:
        """Write an order."""
        at = self.now()
        row = insert(tables.orders).values(
            model=order.model,
            verb=order.verb,
            version=order.version,
            actor=order.actor,
            reason=order.reason,
            event_time=order.event_time,
            at=at,
        )
        with self.write() as connection:
            number = int(connection.execute(row.returning(tables.orders.c.id)).scalar_one())
        return OrderRecord(id=number, order=order, at=at)

    def orders(self, model: str) -> list[OrderRecord]:
        """Return all orders, oldest first."""
        table = tables.orders
        with self.read() as connection:
            rows = connection.execute(select(table).where(table.c.model == model).order_by(table.c.id)).all()
        return [
            OrderRecord(
                id=row.id,
                order=Order(
                    model=row.model,
                    verb=row.verb,
                    version=row.version,
                    actor=row.actor,
                    reason=row.reason,
                    event_time=row.event_time,
                ),
                at=row.at,
            )
            for row in rows
        ]

    def standing(self, model: str) -> Standing:
        """Return what is in force: the newest of each pair of orders counts, of block and unblock by version."""
        newest: dict[tuple[str, str | None], OrderRecord] = {}
        for record in self.orders(model):
            for opens, closes in _OPENS.items():
                if record.order.verb in (opens, closes):
                    newest[opens, record.order.version if opens == "block" else None] = record
        in_force = {key: record for key, record in newest.items() if record.order.verb in _OPENS}
        return Standing(
            paused=in_force.get(("pause", None)),
            pinned=in_force.get(("pin", None)),
            blocked={
                version: record
                for (verb, version), record in in_force.items()
                if verb == "block" and version is not None
            },
        )

    def noticed(self, model: str, key: str) -> bool:
        """Say whether people were told already."""
        table = tables.notices
        with self.read() as connection:
            return connection.execute(select(table.c.id).filter_by(model=model, key=key)).first() is not None

    def record_notice(self, model: str, *, key: str, kind: str, text: str) -> None:
        """Write that people were told; once a key."""
        with self.write() as connection:
            if not self.noticed(model, key):
                connection.execute(
                    insert(tables.notices).values(model=model, key=key, kind=kind, text=text, at=self.now())
                )

    def notices(self, model: str) -> list[NoticeRecord]:
        """Return all that people were told, oldest first."""
        table = tables.notices
        with self.read() as connection:
            rows = connection.execute(select(table).where(table.c.model == model).order_by(table.c.id)).all()
        return [NoticeRecord(kind=row.kind, text=row.text, at=row.at) for row in rows]
