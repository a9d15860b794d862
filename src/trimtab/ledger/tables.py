"""Tables of the ledger. All but `leases` are append-only: state is what the newest row says."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: SQLite forgets time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times and store the others in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"The ledger keeps aware times only, got {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored time its zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _model() -> Column[str]:
    return Column("model", String(200), nullable=False, index=True)


def _at(name: str = "at") -> Column[datetime]:
    return Column(name, UtcTime, nullable=False)


batches = Table(
    "batches",
    metadata,
    _id(),
    _model(),
    Column("batch", String(200), nullable=False),
    Column("revision", Integer, nullable=False),
    _at("start"),
    _at("end"),
    Column("manifest", JSON, nullable=False),
    Column("commit", String(64), nullable=False),
    Column("md5", String(64), nullable=False),
    _at(),
    UniqueConstraint("model", "batch", "revision", name="one_row_a_revision"),
)

quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    _model(),
    Column("name", String(200), nullable=False),
    Column("action", String(20), nullable=False),  # quarantined, released, dropped
    Column("entry", JSON, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    _at(),
)

observations = Table(
    "observations",
    metadata,
    _id(),
    _model(),
    Column("batch", String(200), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("champion", String(20), nullable=False),
    Column("observation", JSON, nullable=False),
    _at(),
    UniqueConstraint("model", "batch", "revision", "champion", name="one_observation_a_champion"),
)

requests = Table(
    "requests",
    metadata,
    _id(),
    _model(),
    Column("source", String(20), nullable=False),
    Column("episode", String(300), nullable=False),
    Column("request", JSON, nullable=False),
    _at(),
    UniqueConstraint("model", "source", "episode", name="one_request_an_episode"),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _model(),
    Column("request_id", Integer, nullable=False, index=True),
    Column("action", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("holder", String(300), nullable=False),  # the Airflow run that asked the arbiter
    Column("plan", JSON),  # of a RETRAIN
    _at("event_time"),
    _at(),
)

versions = Table(
    "versions",
    metadata,
    _id(),
    _model(),
    Column("version", String(20), nullable=False),
    Column("run_key", String(200), nullable=False),
    Column("training", JSON, nullable=False),
    Column("refit_of", String(20)),
    _at(),
    UniqueConstraint("model", "version", name="one_row_a_version"),
    UniqueConstraint("model", "run_key", name="one_version_a_run"),
)

judgements = Table(
    "judgements",
    metadata,
    _id(),
    _model(),
    Column("run_key", String(200), nullable=False, index=True),
    Column("version", String(20)),  # None for a dry run
    Column("state", String(20), nullable=False),  # OPEN, HOLD, ASK, PROMOTE, REJECT, SUPERSEDED, ABANDONED
    Column("reason", Text, nullable=False),
    Column("evidence", JSON),
    Column("evidence_sha256", String(64)),
    _at("event_time"),
    _at(),
)

transitions = Table(
    "transitions",
    metadata,
    _id(),
    _model(),
    Column("key", String(300), nullable=False),
    Column("phase", String(10), nullable=False),  # intent, done
    Column("version", String(20), nullable=False),
    Column("to_stage", String(20), nullable=False),
    Column("replaces", String(20)),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence_sha256", String(64)),
    _at("event_time"),
    _at(),
    UniqueConstraint("model", "key", "phase", name="one_row_a_phase"),
)

orders = Table(
    "orders",
    metadata,
    _id(),
    _model(),
    Column("verb", String(20), nullable=False),
    Column("version", String(20)),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("event_time", UtcTime),
    _at(),
)

notices = Table(
    "notices",
    metadata,
    _id(),
    _model(),
    Column("key", String(300), nullable=False),
    Column("kind", String(30), nullable=False),
    Column("text", Text, nullable=False),
    _at(),
    UniqueConstraint("model", "key", name="one_notice_a_key"),
)

alerts = Table(
    "alerts",
    metadata,
    _id(),
    _model(),
    Column("fingerprint", String(200), nullable=False),
    Column("starts_at", String(40), nullable=False),
    Column("status", String(20), nullable=False),  # firing, resolved
    Column("alert", JSON, nullable=False),
    _at(),
)

erasures = Table(
    "erasures",
    metadata,
    _id(),
    _model(),
    Column("key", String(100), nullable=False),
    Column("phase", String(10), nullable=False),  # intent, done
    Column("salt", String(64), nullable=False),
    Column(
        "rows", JSON, nullable=False
    ),  # salted sha256 of each row id; an id in clear would not be forgotten
    Column("batches", JSON, nullable=False),
    Column("objects", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    _at(),
    UniqueConstraint("model", "key", "phase", name="one_erasure_a_phase"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("holder", String(300), nullable=False),
    _at("acquired_at"),
    _at("heartbeat_at"),
    _at("expires_at"),
)
