"""What the ledger answers to people and programs: what happened, what was live, and why."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trimtab.contracts import BatchRef, plain
from trimtab.drift import policy
from trimtab.errors import Unknown
from trimtab.ledger.records import JudgementRecord, Transition
from trimtab.loop.loop import Loop, open_loop

_WIDTH = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened: when by this machine's clock, when in event time, what, to which version, who, and why."""

    at: datetime | None
    event_time: datetime | None
    what: str
    version: str | None
    actor: str | None
    text: str


def history(last: int | None = None) -> list[Entry]:
    """Return answers, verdicts, transitions, orders, refused and erased data, oldest first; the newest `last` of them."""
    loop = open_loop()
    found = [
        *_answers(loop),
        *_verdicts(loop),
        *_moves(loop),
        *_orders(loop),
        *_refused(loop),
        *_erased(loop),
    ]
    ordered = sorted(found, key=lambda entry: entry.at or datetime.min.replace(tzinfo=UTC))
    return ordered if last is None else ordered[-last:]


def live_at(time: datetime, *, event: bool = False) -> list[Entry]:
    """Return the transition that put the version in Production that was live at a time; empty when none was.

    Args:
        time: Aware; by this machine's clock, or in event time.
        event: Which of the two.
    """
    moves = [
        entry
        for entry in _moves(open_loop())
        if entry.what == "Production" and (when := entry.event_time if event else entry.at) and when <= time
    ]
    return moves[-1:]


def why(name: str) -> list[Entry]:
    """Return all that the ledger holds of one version or one batch, in the order of cause and effect.

    Raises:
        Unknown: There is no such version and no such batch.
    """
    loop = open_loop()
    if name in loop.ledger.versions(loop.model):
        return list(_why_version(loop, name))
    batches = [record.manifest.batch for record in loop.ledger.batches(loop.model)]
    if name in batches or any(one.entry.batch == name for one in loop.ledger.quarantine_log(loop.model)):
        return list(_why_batch(loop, name))
    newest = ", ".join(batches[-3:]) or "none"
    raise Unknown(
        f"a version ({', '.join(loop.ledger.versions(loop.model)) or 'none'}) or a batch (newest: {newest})",
        name,
    )


def table(entries: Sequence[Entry]) -> str:
    """Return entries as text, one a paragraph."""
    lines = []
    for entry in entries:
        when = f"{entry.at:%Y-%m-%d %H:%M:%S}" if entry.at else " " * 19
        data = f"{entry.event_time:%Y-%m-%d}" if entry.event_time else " " * 10
        version = f"v{entry.version}" if entry.version else ""
        head = f"{when}  {data}  {entry.what:<12} {version:<5} "
        who = f"{entry.actor}: " if entry.actor else ""
        lines.append(
            textwrap.fill(
                f"{who}{entry.text}", _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
            )
        )
    return "\n".join(lines)


def plain_entries(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Return entries as JSON types."""
    return [plain(entry) for entry in entries]


def _answers(loop: Loop) -> Iterator[Entry]:
    asked = {record.id: record.request for record in loop.ledger.requests(loop.model)}
    for record in loop.ledger.decisions(loop.model):
        request = asked[record.request_id]
        answer = record.reason.removeprefix(f"{request.source}: ")
        yield Entry(
            at=record.at,
            event_time=record.event_time,
            what=record.action,
            version=request.challenger or request.champion,
            actor=request.source,
            text=answer if request.reason in answer else f"{request.reason} -> {answer}",
        )


def _verdicts(loop: Loop) -> Iterator[Entry]:
    return (_verdict(one) for one in loop.ledger.judgements(loop.model) if one.state != "OPEN")


def _verdict(one: JudgementRecord) -> Entry:
    return Entry(
        at=one.at,
        event_time=one.event_time,
        what="judged",
        version=one.version,
        actor=None,
        text=one.reason if one.reason.startswith(one.state) else f"{one.state}: {one.reason}",
    )


def _moves(loop: Loop) -> Iterator[Entry]:
    for record in loop.ledger.transitions(loop.model):
        if record.phase == "done":
            yield _move(record.transition, record.at)


def _move(move: Transition, at: datetime) -> Entry:
    return Entry(
        at=at,
        event_time=move.event_time,
        what=move.to_stage,
        version=move.version,
        actor=move.actor,
        text=move.reason,
    )


def _orders(loop: Loop) -> Iterator[Entry]:
    for record in loop.ledger.orders(loop.model):
        order = record.order
        yield Entry(
            at=record.at,
            event_time=order.event_time,
            what=order.verb,
            version=order.version,
            actor=order.actor,
            text=order.reason,
        )


def _refused(loop: Loop, batch: str | None = None) -> Iterator[Entry]:
    for record in loop.ledger.quarantine_log(loop.model):
        if batch not in (None, record.entry.batch):
            continue
        yield Entry(
            at=record.at,
            event_time=None,
            what=record.action,
            version=None,
            actor=record.actor,
            text=f"{record.entry.name} ({record.entry.kind}, {record.entry.rows} rows): {record.reason}",
        )


def _erased(loop: Loop, *, version: str | None = None, batch: str | None = None) -> Iterator[Entry]:
    for record in loop.ledger.erasures(loop.model):
        one = record.erasure
        if version not in (None, *one.versions) or batch not in (None, *one.batches):
            continue
        text = f"{one.reason}: {len(one.rows)} row(s), in batches {', '.join(one.batches) or 'none'}"
        if one.versions:
            text += f"; can no longer be rebuilt: {', '.join(one.versions)}"
        yield Entry(
            at=record.at,
            event_time=None,
            what="forgotten" if record.phase == "done" else "forgetting",
            version=version,
            actor=one.actor,
            text=text,
        )


def _why_version(loop: Loop, version: str) -> Iterator[Entry]:
    ledger, record = loop.ledger, loop.ledger.versions(loop.model)[version]
    judged = ledger.versions(loop.model)[record.refit_of] if record.refit_of else record
    for decision in ledger.runs(loop.model):
        plan = decision.plan
        looked = (
            plan is not None and plan.challenger is not None and plan.challenger.version == judged.version
        )
        if decision.run_key != judged.run_key and not looked:
            continue
        request = next(one.request for one in ledger.requests(loop.model) if one.id == decision.request_id)
        commit = f"; commit {plan.commit[:10]}, judged on {_names(plan.judge)}" if plan else ""
        yield Entry(
            at=decision.at,
            event_time=decision.event_time,
            what=decision.action,
            version=judged.version,
            actor=request.source,
            text=f"{request.reason}{commit}",
        )
    training = record.training
    sibling = f", a refit of version {record.refit_of}" if record.refit_of else ""
    yield Entry(
        at=record.at,
        event_time=training.trained_through,
        what="trained",
        version=version,
        actor=None,
        text=f"on {training.rows} rows of {_names(training.batches)}{sibling}; run {training.run_id}, sha256 "
        f"{training.digest[:12]}",
    )
    for judgement in ledger.judgements(loop.model):
        if judgement.version == judged.version and judgement.state != "OPEN":
            yield _verdict(judgement)
    about = [*_moves(loop), *_orders(loop)]
    yield from (entry for entry in about if entry.version == version)
    yield from _erased(loop, version=version)


def _why_batch(loop: Loop, batch: str) -> Iterator[Entry]:
    ledger = loop.ledger
    yield from _refused(loop, batch)
    for record in ledger.batches(loop.model):
        manifest = record.manifest
        if manifest.batch == batch:
            yield Entry(
                at=None,
                event_time=manifest.end,
                what="ingested",
                version=None,
                actor=None,
                text=f"revision {manifest.revision}: {manifest.rows} rows, {manifest.labelled} labelled, "
                f"{manifest.bad_rows} in quarantine; commit {record.commit[:10]}",
            )
    for seen in ledger.observations(loop.model):
        if seen.observation.batch == batch:
            yield Entry(
                at=seen.at,
                event_time=None,
                what="measured",
                version=seen.observation.champion,
                actor=None,
                text=policy.assess(seen.observation, loop.params).reason,
            )
    asked = {one.id for one in ledger.requests(loop.model) if one.request.episode.startswith(f"{batch}:")}
    answers = zip(ledger.decisions(loop.model), _answers(loop), strict=True)
    yield from (entry for record, entry in answers if record.request_id in asked)
    for version in ledger.versions(loop.model).values():
        if any(ref.batch == batch for ref in version.training.batches):
            text = f"among {len(version.training.batches)} batches"
            yield Entry(
                at=version.at,
                event_time=None,
                what="trained on",
                version=version.version,
                actor=None,
                text=text,
            )
    for judgement in ledger.verdicts(loop.model):
        if judgement.verdict and any(ref.batch == batch for ref in judgement.verdict.judged_on):
            yield _verdict(judgement)
    yield from _erased(loop, batch=batch)


def _names(refs: Sequence[BatchRef]) -> str:
    if len(refs) <= 2:
        return " and ".join(ref.batch for ref in refs)
    return f"{len(refs)} batches, {refs[0].batch} to {refs[-1].batch}"
