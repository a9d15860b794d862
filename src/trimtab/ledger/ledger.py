"""The ledger of one model: what was ingested, measured, asked, decided and moved, and why. Facts are only added."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from trimtab.clock import Clock, system_clock
from trimtab.contracts import from_plain
from trimtab.errors import Conflict, Unknown
from trimtab.ledger.engine import Database
from trimtab.ledger.facts import Fact, body_of, kind_of
from trimtab.ledger.leases import Lease, Leases, require
from trimtab.ledger.tables import LONGEST_KEY, facts

F = TypeVar("F", bound=Fact)
T = TypeVar("T")

_ATTEMPTS = 5


class Ledger(Database):
    """The facts of one model in one ledger database.

    Two processes may decide at once: each reads through a `Snapshot` and appends with it. The second one to append gets a
    `Conflict` if what it has read is no longer the newest, and reads again.

    >>> from trimtab.ledger.facts import Notice
    >>> ledger = Ledger("sqlite://", "flight-delay")
    >>> ledger.migrate()
    >>> ledger.append(Notice(key="k", kind="rollback", text="Version 2 is back in Production."))
    True
    >>> [notice.text for notice in ledger.all(Notice)]
    ['Version 2 is back in Production.']
    """

    def __init__(self, url: str, model: str, clock: Clock = system_clock) -> None:
        super().__init__(url)
        self.model = model
        self.now = clock

    @property
    def leases(self) -> Leases:
        """The leases of the database, which all its models share."""
        return Leases(self, self.now)

    def all(
        self,
        kind: type[F],
        /,
        *,
        prefix: str = "",
        keys: Collection[str] | None = None,
        since: datetime | None = None,
        newest: int | None = None,
        **fields: str | None,
    ) -> list[F]:
        """Return the facts of a kind, oldest first.

        Args:
            kind: The dataclass of the kind.
            prefix: Only facts whose key starts so.
            keys: Only facts with one of these keys.
            since: Only facts of this event time or later.
            newest: At most so many facts, the newest ones.
            **fields: Only facts with these texts in their fields.
        """
        where = self._of(kind, prefix, keys)
        if since is not None:
            where &= facts.c.event_time >= since
        for name, value in fields.items():
            where &= _field(name) == value
        query = (
            select(facts.c.id, facts.c.at, facts.c.body)
            .where(where)
            .order_by(facts.c.id.desc())
            .limit(newest)
        )
        with self.read() as connection:
            rows = connection.execute(query).all()
        return [from_plain(kind, {**row.body, "id": row.id, "at": row.at}) for row in reversed(rows)]

    def columns(
        self, kind: type[Fact], /, *names: str, prefix: str = "", keys: Collection[str] | None = None
    ) -> Sequence[Any]:
        """Return some columns of the facts of a kind, oldest first, without reading the rest of the facts.

        Args:
            kind: The dataclass of the kind.
            *names: `key`, `at`, `event_time`, or fields that hold a text or None. `training.run_id` is the field `run_id`
                of the field `training`.
            prefix: Only facts whose key starts so.
            keys: Only facts with one of these keys.
        """
        columns = [facts.c[name] if name in facts.c else _field(name) for name in names]
        query = select(*columns).where(self._of(kind, prefix, keys)).order_by(facts.c.id)
        with self.read() as connection:
            return connection.execute(query).all()

    def last(self, kind: type[F], /, **filters: Any) -> F | None:
        """Return the newest of the facts that `all` returns, None without any."""
        return next(iter(self.all(kind, newest=1, **filters)), None)

    def get(self, kind: type[F], key: str) -> F | None:
        """Return the fact with a key."""
        return self.last(kind, keys=[key])

    def require(self, kind: type[F], key: str) -> F:
        """Return the fact with a key.

        Raises:
            Unknown: The ledger has no such fact.
        """
        fact = self.get(kind, key)
        if fact is None:
            raise Unknown(f"a {kind_of(kind)} of {self.model} that the ledger holds", key)
        return fact

    def keys(self, kind: type[Fact], *, prefix: str = "") -> list[str]:
        """Return the keys of all facts of a kind, oldest first, without reading the facts themselves."""
        return [key for (key,) in self.columns(kind, "key", prefix=prefix)]

    def append(self, *new: Fact, read: "Snapshot | None" = None, lease: Lease | None = None) -> bool:
        """Add facts in one transaction; those whose key is there already are left as they are.

        Args:
            *new: The facts.
            read: What the decision behind them was based on.
            lease: The lease under which the caller works.

        Returns:
            Whether anything was added.

        Raises:
            Conflict: A fact was added to what `read` has read; nothing was written.
            LeaseLost: Somebody else holds the lease by now; nothing was written.
            ValueError: A key is too long, or a text holds NUL or a number is NaN, which PostgreSQL refuses.
        """
        at, added = self.now(), False
        with self.transaction(self.model) as connection:
            if lease is not None:
                require(connection, lease)
            if read is not None:
                read.require_newest(connection)
            for fact in new:
                added |= self._insert(connection, fact, at)
        return added

    def redact(self, fact: Fact, lease: Lease) -> None:
        """Replace a fact by one without the ids of erased rows: the only change that is ever made to a fact.

        Raises:
            LeaseLost: Somebody else holds the lease by now; nothing was written.
        """
        with self.transaction(self.model) as connection:
            require(connection, lease)
            connection.execute(update(facts).where(facts.c.id == fact.id).values(body=body_of(fact)))

    def decide(self, decision: "Callable[[Snapshot], T]") -> T:
        """Call a decision that reads from its snapshot and appends with it; again when another process was quicker.

        Raises:
            Conflict: Other processes were quicker five times.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return decision(Snapshot(self))
            except Conflict:
                continue
        return decision(Snapshot(self))

    def newest(self, connection: Connection, kind: type[Fact], prefix: str) -> int:
        """Return the id of the newest fact of a kind, 0 before the first."""
        return connection.scalar(select(func.max(facts.c.id)).where(self._of(kind, prefix))) or 0

    def _of(
        self, kind: type[Fact], prefix: str = "", keys: Collection[str] | None = None
    ) -> ColumnElement[bool]:
        where: ColumnElement[bool] = (facts.c.model == self.model) & (facts.c.kind == kind_of(kind))
        if prefix:
            where &= facts.c.key.startswith(prefix, autoescape=True)
        if keys is not None:
            where &= facts.c.key.in_(keys)
        return where

    def _insert(self, connection: Connection, fact: Fact, at: datetime) -> bool:
        kind, key = type(fact), fact.key
        if connection.execute(select(facts.c.id).where(self._of(kind) & (facts.c.key == key))).first():
            return False
        body = body_of(fact)
        if len(key) > LONGEST_KEY or "\0" in key or _holds_nul(body):
            raise ValueError(
                f"Expected a key of at most {LONGEST_KEY} characters and texts without NUL, "
                f"got the {kind_of(kind)} {key!r:.200}"
            )
        connection.execute(
            insert(facts).values(
                model=self.model, kind=kind_of(kind), key=key, event_time=fact.event_time, at=at, body=body
            )
        )
        return True


class Snapshot:
    """Reads facts for one decision, and remembers which was the newest fact of each kind when it first read it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._newest: dict[tuple[type[Fact], str], int] = {}

    def all(self, kind: type[F], /, *, prefix: str = "", **fields: Any) -> list[F]:
        """Return what `Ledger.all` returns; the decision depends on all facts of the kind with this prefix."""
        self._remember(kind, prefix)
        return self.ledger.all(kind, prefix=prefix, **fields)

    def columns(self, kind: type[Fact], /, *names: str, keys: Collection[str] | None = None) -> Sequence[Any]:
        """Return what `Ledger.columns` returns; the decision depends on the kind."""
        self._remember(kind, "")
        return self.ledger.columns(kind, *names, keys=keys)

    def get(self, kind: type[F], key: str) -> F | None:
        """Return the fact with a key; the decision depends on it."""
        self._remember(kind, key)
        return self.ledger.get(kind, key)

    def keys(self, kind: type[Fact], *, prefix: str = "") -> list[str]:
        """Return what `Ledger.keys` returns; the decision depends on the kind."""
        self._remember(kind, prefix)
        return self.ledger.keys(kind, prefix=prefix)

    def append(self, *new: Fact, lease: Lease | None = None) -> bool:
        """Append the facts that the decision has led to; see `Ledger.append`."""
        return self.ledger.append(*new, read=self, lease=lease)

    def require_newest(self, connection: Connection) -> None:
        """Compare with the ledger as it is in an open transaction.

        Raises:
            Conflict: There is a newer fact than those that were read.
        """
        for (kind, prefix), newest in self._newest.items():
            if self.ledger.newest(connection, kind, prefix) != newest:
                raise Conflict(kind_of(kind), prefix)

    def _remember(self, kind: type[Fact], prefix: str) -> None:
        if (kind, prefix) not in self._newest:
            with self.ledger.read() as connection:
                self._newest[kind, prefix] = self.ledger.newest(connection, kind, prefix)


def _field(name: str) -> ColumnElement[str | None]:
    field: ColumnElement[str | None] = facts.c.body[tuple(name.split("."))].as_string()
    return field


def _holds_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return any(map(_holds_nul, value))
    return isinstance(value, str) and "\0" in value
