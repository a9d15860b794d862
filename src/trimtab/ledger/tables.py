"""The two tables of the ledger: `facts` is append-only, `leases` is the only table whose rows change."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()

LONGEST_KEY = 500
"""Characters. PostgreSQL refuses longer texts than a column allows, SQLite does not."""


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC because SQLite has no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times and convert the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"Expected a time with a time zone, got {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time with its time zone."""
        return None if value is None else value.replace(tzinfo=UTC)


facts = Table(
    "facts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("key", String(LONGEST_KEY), nullable=False),
    Column("event_time", UtcTime),
    Column("at", UtcTime, nullable=False),
    Column("body", JSON, nullable=False),
    UniqueConstraint("model", "kind", "key", name="one_fact_per_key"),
    Index(
        "facts_in_order", "model", "kind", "id", "key"
    ),  # with the key, so that keys are read from the index alone
    Index("facts_by_event_time", "model", "kind", "event_time"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("holder", String(300)),  # null after a release; the row stays, so that the epoch never falls
    Column("epoch", Integer, nullable=False),
    Column("acquired_at", UtcTime, nullable=False),
    Column("heartbeat_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)
