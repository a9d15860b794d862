"""What the ledger says to people and programs: what happened, which version was live, and why."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trimtab.contracts import BatchRef
from trimtab.drift import policy
from trimtab.errors import Unknown
from trimtab.ledger import (
    Answer,
    Batch,
    Erasure,
    ErasureEnd,
    Fact,
    Judgement,
    Ledger,
    Observation,
    Order,
    QuarantineAction,
    Request,
    Run,
    RunEnd,
    Transition,
    TransitionEnd,
    Version,
    Wait,
    queries,
    state,
)
from trimtab.loop.loop import open_loop
from trimtab.params import Params

_WIDTH = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event: its system time, its time in the data, what happened, to which version, by whom, and why."""

    at: datetime
    event_time: datetime | None
    what: str
    version: str | None
    actor: str | None
    text: str


def history(last: int | None = None) -> list[Entry]:
    """Return decisions, verdicts, failed runs, transitions, orders, quarantine and erasures, oldest first.

    Args:
        last: At most so many entries, the newest ones.
    """
    return read(open_loop().ledger, last)


def live_at(time: datetime, *, event: bool = False) -> list[Entry]:
    """Return the transition that put the version into Production that was live at a time; empty if none was.

    Args:
        time: Aware; in system time, or in the time of the data.
        event: Which of the two.
    """
    moves = queries.to_production(open_loop().ledger)
    return [_move(move) for move in moves if (move.event_time if event else move.at) <= time][-1:]


def why(name: str) -> list[Entry]:
    """Return all that the ledger holds about one version or one batch, in the order of cause and effect.

    Raises:
        Unknown: There is no such version and no such batch.
    """
    loop = open_loop()
    return about(loop.ledger, loop.params, name)


def read(ledger: Ledger, last: int | None) -> list[Entry]:
    """Return what `history` returns, from a ledger."""
    newest = None if last is None else 2 * last  # because a judgement is opened first, which is no entry
    decisions = state.decisions(
        ledger.all(Run, newest=newest),
        ledger.all(Answer, newest=newest, run=None),
        ledger.all(Wait, newest=newest),
    )
    entries = [
        *_decisions(ledger, decisions),
        *_failures(ledger.all(RunEnd, newest=newest)),
        *_verdicts(ledger.all(Judgement, newest=newest)),
        *_transitions(ledger, newest),
        *map(_order, ledger.all(Order, newest=newest)),
        *map(_refusal, ledger.all(QuarantineAction, newest=newest)),
        *_erasures(ledger),
    ]
    entries.sort(key=lambda entry: entry.at)
    return entries if last is None else entries[-last:]


def about(ledger: Ledger, params: Params, name: str) -> list[Entry]:
    """Return what `why` returns, from a ledger, and raise its errors."""
    if ledger.get(Version, name) is not None:
        return list(_about_version(ledger, name))
    batches = [batch.manifest.batch for batch in state.batches_in_force(ledger.all(Batch))]
    if name in batches or any(action.entry.batch == name for action in ledger.all(QuarantineAction)):
        return list(_about_batch(ledger, params, name))
    newest = ", ".join(batches[-3:]) or "none"
    raise Unknown(
        f"a version ({', '.join(ledger.keys(Version)) or 'none'}) or a batch (newest: {newest})", name
    )


def table(entries: Sequence[Entry]) -> str:
    """Return entries as text, one per paragraph."""
    lines = []
    for entry in entries:
        data = f"{entry.event_time:%Y-%m-%d}" if entry.event_time else " " * 10
        version = f"v{entry.version}" if entry.version else ""
        head = f"{entry.at:%Y-%m-%d %H:%M:%S}  {data}  {entry.what:<12} {version:<5} "
        text = f"{entry.actor}: {entry.text}" if entry.actor else entry.text
        lines.append(textwrap.fill(text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)))
    return "\n".join(lines)


def _entry(
    fact: Fact, what: str, text: str, *, version: str | None = None, actor: str | None = None
) -> Entry:
    return Entry(at=fact.at, event_time=fact.event_time, what=what, version=version, actor=actor, text=text)


def _decisions(ledger: Ledger, decisions: Sequence[state.DecisionFact]) -> Iterator[Entry]:
    asked = ledger.all(Request, keys={decision.request for decision in decisions})
    requests = {request.key: request for request in asked}
    for decision in decisions:
        request = requests[decision.request]
        answer = decision.reason.removeprefix(f"{request.source}: ")
        yield _entry(
            decision,
            state.action_of(decision),
            answer if request.reason in answer else f"{request.reason} -> {answer}",
            version=request.challenger or request.champion,
            actor=request.source,
        )


def _failures(ends: Iterable[RunEnd]) -> list[Entry]:
    return [
        _entry(end, end.outcome, f"run {end.key}: {end.reason}") for end in ends if end.outcome != "concluded"
    ]


def _verdicts(judgements: Iterable[Judgement]) -> list[Entry]:
    return [
        _entry(
            each,
            "judged",
            f"{each.state}: {each.reason.removeprefix(f'{each.state}: ')}",
            version=each.version,
        )
        for each in judgements
        if each.state != "OPEN"
    ]


def _transitions(ledger: Ledger, newest: int | None = None) -> Iterable[Entry]:
    ends = ledger.all(TransitionEnd, newest=newest, outcome="done")
    return map(_move, state.completed(ledger.all(Transition, keys=[end.key for end in ends]), ends))


def _move(move: Transition) -> Entry:
    return _entry(move, move.to_stage, move.reason, version=move.version, actor=move.actor)


def _order(order: Order) -> Entry:
    return _entry(order, order.verb, order.reason, version=order.version, actor=order.actor)


def _refusal(action: QuarantineAction) -> Entry:
    entry = action.entry
    text = f"{entry.name} ({entry.kind}, {entry.rows} rows): {action.reason}"
    return _entry(action, action.action, text, actor=action.actor)


def _erasures(ledger: Ledger, *, version: str | None = None, batch: str | None = None) -> Iterator[Entry]:
    ends = {end.key: end for end in ledger.all(ErasureEnd)}
    for erasure in ledger.all(Erasure):
        if version not in (None, *erasure.versions) or batch not in (None, *erasure.batches):
            continue
        lost = f"; can no longer be rebuilt: {', '.join(erasure.versions)}" if erasure.versions else ""
        text = f"{erasure.reason}: {len(erasure.rows)} row(s), in batches {', '.join(erasure.batches) or 'none'}{lost}"
        yield _entry(erasure, "erasing", text, version=version, actor=erasure.actor)
        if erasure.key in ends:
            yield _entry(ends[erasure.key], "erased", text, version=version, actor=erasure.actor)


def _about_version(ledger: Ledger, number: str) -> Iterator[Entry]:
    version = ledger.require(Version, number)
    judged = ledger.require(Version, version.refit_of) if version.refit_of else version
    looks = ledger.all(Run, action="JUDGE")
    own = [run for run in looks if run.plan.challenger and run.plan.challenger.version == judged.version]
    runs = [*ledger.all(Run, keys=[judged.run_key]), *own]
    for run, entry in zip(runs, _decisions(ledger, runs), strict=True):
        text = f"{entry.text}; commit {run.plan.commit[:10]}, judged on {names(run.plan.judge)}"
        yield replace(entry, version=judged.version, text=text)
    yield _training(version)
    yield from _verdicts(ledger.all(Judgement, version=judged.version))
    yield from _failures(ledger.all(RunEnd, keys=[run.key for run in runs]))
    moves = [*_transitions(ledger), *map(_order, ledger.all(Order))]
    yield from (entry for entry in moves if entry.version == number)
    yield from _erasures(ledger, version=number)


def _training(version: Version) -> Entry:
    training = version.training
    refit = f", a refit of version {version.refit_of}" if version.refit_of else ""
    text = (
        f"on {training.rows} rows of {names(training.batches)}{refit}; run {training.run_id}, "
        f"sha256 {training.digest[:12]}"
    )
    return _entry(version, "trained", text, version=version.version)


def _about_batch(ledger: Ledger, params: Params, batch: str) -> Iterator[Entry]:
    yield from (_refusal(each) for each in ledger.all(QuarantineAction) if each.entry.batch == batch)
    yield from map(_ingestion, ledger.all(Batch, prefix=f"{batch}:r"))
    for observation in ledger.all(Observation, batch=batch):
        yield _entry(
            observation, "measured", policy.assess(observation, params).reason, version=observation.champion
        )
    requests = {each.key for each in ledger.all(Request) if each.episode.startswith(f"{batch}:")}
    decisions = state.decisions(ledger.all(Run), ledger.all(Answer, run=None), ledger.all(Wait))
    yield from _decisions(ledger, [each for each in decisions if each.request in requests])
    for version in ledger.all(Version):
        if batch in [ref.batch for ref in version.training.batches]:
            number = len(version.training.batches)
            yield _entry(version, "trained on", f"among {number} batches", version=version.version)
    yield from _verdicts(
        each
        for each in ledger.all(Judgement)
        if each.verdict and batch in [ref.batch for ref in each.verdict.judged_on]
    )
    yield from _erasures(ledger, batch=batch)


def _ingestion(batch: Batch) -> Entry:
    manifest = batch.manifest
    return _entry(
        batch,
        "ingested",
        f"revision {manifest.revision}: {manifest.rows} rows, {manifest.labelled} labelled, "
        f"{manifest.bad_rows} in quarantine; commit {batch.commit[:10]}",
    )


def names(refs: Sequence[BatchRef]) -> str:
    """Return batches in a few words."""
    if len(refs) <= 2:
        return " and ".join(ref.batch for ref in refs) or "no batch"
    return f"{len(refs)} batches, {refs[0].batch} to {refs[-1].batch}"
