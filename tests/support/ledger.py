"""What tests ask of a ledger."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from trimtab.contracts import Manifest
from trimtab.ledger import Answer, Batch, Ledger, Request, Run, Transition, TransitionEnd, Wait, state
from trimtab.loop.loop import Loop

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


class Decision(NamedTuple):
    """What the arbiter said about a request."""

    request: str
    action: str
    reason: str
    holder: str


def decisions(ledger: Ledger) -> list[Decision]:
    """Return all that the arbiter said, oldest first; but not the answer at the end of a run."""
    said = [*ledger.all(Wait), *ledger.all(Run), *(each for each in ledger.all(Answer) if each.run is None)]
    return [
        Decision(each.request, "WAIT" if isinstance(each, Wait) else each.action, each.reason, each.holder)
        for each in sorted(said, key=lambda fact: fact.id)
    ]


def batch(week: int, revision: int = 1, *, rows: int = 10, end: datetime | None = None) -> Batch:
    """Return a weekly batch."""
    start = MONDAY + timedelta(weeks=week)
    manifest = Manifest(
        model="demand",
        batch=f"W{week:02d}",
        revision=revision,
        start=start,
        end=end or start + timedelta(weeks=1),
        partial=False,
        rows=rows,
        labelled=rows,
        bad_rows=1,
        unseen={"dest": 2},
        source_sha256=f"{week}-{revision}",
    )
    return Batch(manifest=manifest, commit="c0ffee", md5="ab")


def request(episode: str, source: str = "drift") -> Request:
    """Return a request."""
    return Request(source=source, episode=episode, reason="the loss is high", event_time=MONDAY)


def unfinished(ledger: Ledger) -> list[Transition]:
    """Return the transitions that have not ended."""
    return state.unfinished(ledger.all(Transition), ledger.keys(TransitionEnd))


def lease_holder(loop: Loop) -> str | None:
    """Return who holds the lease of a retraining."""
    lease = loop.ledger.leases.current(loop.lease_name)
    return None if lease is None else lease.holder
