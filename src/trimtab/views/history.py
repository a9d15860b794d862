"""What the ledger says to people and programs: what happened, which version was live, and why."""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.contracts import BatchRef, Comparison, Evidence
from trimtab.errors import Unknown
from trimtab.evaluate.alarms import NEWEST
from trimtab.evaluate.compare import UNBOUNDED
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import (
    Answer,
    Batch,
    Erasure,
    ErasureEnd,
    Fact,
    Ledger,
    Measurement,
    Notice,
    Observation,
    Order,
    QuarantineAction,
    Question,
    RecipeEntry,
    Request,
    Run,
    RunEnd,
    Shadow,
    Transition,
    TransitionEnd,
    Version,
    Wait,
    batch_key,
    queries,
    state,
)
from trimtab.loop.loop import open_loop
from trimtab.loop.measure import ATTEMPTS
from trimtab.views.health import alarms_by_batch

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
    """Return what happened, oldest first.

    The entries are requests with their answers, questions to people, failed runs, transitions, orders, quarantine and
    erasures.

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
    """Return what the ledger holds about one version or one batch, oldest first.

    Raises:
        Unknown: There is no such version and no such batch.
    """
    loop = open_loop()
    entries = [*about(loop.ledger, name), *alarms_on(loop.ledger, name, loop.params.drift.concept.rate)]
    return sorted(entries, key=lambda entry: entry.at)


def read(ledger: Ledger, last: int | None) -> list[Entry]:
    """Return what `history` returns, from a ledger."""
    answered = {run for (run,) in ledger.columns(Answer, "run")}
    decisions = state.decisions(
        [run for run in ledger.all(Run, newest=last) if run.key not in answered],
        ledger.all(Answer, newest=last),
        ledger.all(Wait, newest=last),
    )
    entries = [
        *_decisions(ledger, decisions),
        *map(_question, ledger.all(Question, newest=last)),
        *_failures(ledger.all(RunEnd, newest=last)),
        *_transitions(ledger, newest=last),
        *map(_order, ledger.all(Order, newest=last)),
        *_recipes(ledger.all(RecipeEntry, newest=last)),
        *(_entry(each, "recipe", each.text) for each in ledger.all(Notice, newest=last, kind="recipe")),
        *map(_refusal, ledger.all(QuarantineAction, newest=last)),
        *_erasures(ledger),
    ]
    entries.sort(key=lambda entry: entry.at)
    return entries if last is None else entries[-last:]


def about(ledger: Ledger, name: str) -> list[Entry]:
    """Return what `why` returns, from a ledger, and raise its errors."""
    batches = [batch.manifest.batch for batch in state.batches_in_force(ledger.all(Batch))]
    version = ledger.get(Version, name)
    if version is not None:
        entries = _about_version(ledger, version)
    elif name in batches or any(action.entry.batch == name for action in ledger.all(QuarantineAction)):
        entries = _about_batch(ledger, name)
    else:
        registered, newest = (", ".join(each[-3:]) or "none" for each in (ledger.keys(Version), batches))
        raise Unknown(f"a version (newest: {registered}) or a batch (newest: {newest})", name)
    return sorted(entries, key=lambda entry: entry.at)


def alarms_on(ledger: Ledger, name: str, rate: float) -> Iterator[Entry]:
    """Yield the alarms that fire on a batch, if there is a batch of this name."""
    batches = state.batches_in_force(ledger.all(Batch))
    place = next((place for place, each in enumerate(batches) if each.manifest.batch == name), -1)
    # Twice as many as an alarm looks back, because some may have no measurement.
    batches = batches[max(0, place - 2 * NEWEST) : place + 1]
    revisions = ((each.manifest.batch, range(1, each.manifest.revision + 1)) for each in batches)
    keys = [batch_key(batch, revision) for batch, every in revisions for revision in every]
    measured = ledger.all(Measurement, keys=keys)
    for fact in [each for each in measured if each.batch == name][-1:]:
        for what, alarm in alarms_by_batch(measured, batches, rate)[name].firing.items():
            yield _entry(fact, what, alarm.sentence)


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
        request, answer = requests[decision.request], decision.reason
        deployed = decision.version if isinstance(decision, Answer) else None
        champion = None if isinstance(decision, Run) else request.champion
        yield _entry(
            decision,
            state.action_of(decision),
            answer if request.reason in answer else f"{request.reason} -> {answer}",
            version=deployed or champion,
            actor=request.source,
        )


def _question(question: Question) -> Entry:
    return _entry(question, "question", f"run {question.key}: {question.text}")


def _failures(ends: Iterable[RunEnd]) -> list[Entry]:
    return [
        _entry(end, end.outcome, f"run {end.key}: {end.reason}") for end in ends if end.outcome != "concluded"
    ]


def _transitions(ledger: Ledger, newest: int | None = None) -> Iterable[Entry]:
    ends = ledger.all(TransitionEnd, newest=newest, outcome="done")
    return map(_move, state.completed(ledger.all(Transition, keys=[end.key for end in ends]), ends))


def _move(move: Transition) -> Entry:
    return _entry(move, move.to_stage, move.reason, version=move.version, actor=move.actor)


def _recipes(entries: Iterable[RecipeEntry]) -> Iterator[Entry]:
    """Yield the recipes that entered the race after the first one."""
    for entry in entries:
        if entry.changes:
            text = f"recipe {entry.number} enters with commit {entry.commit[:10]}: {'; '.join(entry.changes)}"
            yield _entry(entry, "recipe", text)


def _order(order: Order) -> Entry:
    text = order.reason if order.recipe is None else f"recipe {order.recipe}: {order.reason}"
    return _entry(order, order.verb, text, version=order.version, actor=order.actor)


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


def _about_version(ledger: Ledger, version: Version) -> Iterator[Entry]:
    number, training = version.version, version.training
    yield _entry(
        version,
        "trained",
        f"by candidate {version.candidate} on {training.rows} rows of {names(training.batches)}; run {training.run_id}, "
        f"sha256 {training.digest[:12]}",
        version=number,
    )
    answers = {
        request: target == training.run_id
        for request, deployed, target in ledger.columns(Answer, "request", "version", "evidence.target")
        if number == deployed or target == training.run_id
    }
    yield from _about_requests(
        ledger, {*answers, *(each.key for each in ledger.all(Request, champion=number))}
    )
    for answer in ledger.all(Answer, keys=[request for request, is_target in answers.items() if is_target]):
        if answer.evidence is not None:
            yield _entry(answer, "evidence", in_words(answer.evidence), version=number)
    moves = ledger.all(Transition, version=number)
    yield from map(
        _move, state.completed(moves, ledger.all(TransitionEnd, keys=[each.key for each in moves]))
    )
    yield from map(_order, ledger.all(Order, version=number))
    yield from _erasures(ledger, version=number)


def _about_requests(ledger: Ledger, requests: Collection[str]) -> Iterator[Entry]:
    """Yield what became of some requests."""
    waits = [key for key, request in ledger.columns(Wait, "key", "request") if request in requests]
    keys = [key for key, request in ledger.columns(Run, "key", "request") if request in requests]
    runs, answers = ledger.all(Run, keys=keys), ledger.all(Answer, keys=requests)
    yield from _decisions(ledger, state.decisions(runs, answers, ledger.all(Wait, keys=waits)))
    yield from map(_question, ledger.all(Question, keys=keys))
    yield from _failures(ledger.all(RunEnd, keys=keys))


def in_words(evidence: Evidence) -> str:
    """Return what a decision is based on in a few sentences."""
    parts = [f"{evidence.leader} leads"]
    if evidence.regret is not None:
        lost = evidence.regret
        parts.append(f"regret {lost.share:+.1%} ({lost.total:+.4f} over {len(lost.by_batch)} batches)")
    if evidence.age is not None:
        parts.append(f"the champion is {evidence.age} batches old")
    if evidence.comparison is not None:
        parts.append(_compared(evidence.comparison))
    failed = [check.sentence for check in evidence.checks if not check.passed]
    if evidence.checks:
        parts.append("; ".join(failed) or f"all {len(evidence.checks)} checks hold")
    return "; ".join(parts)


def _compared(compared: Comparison) -> str:
    bounds = f" ({compared.lower:+.4f} to {compared.upper:+.4f})" if compared.upper < UNBOUNDED else ""
    return (
        f"loss {compared.challenger_loss:.4f} against {compared.champion_loss:.4f} {compared.metric} per row, a gain of "
        f"{compared.gain:+.4f}{bounds} on {compared.rows} rows, {compared.blocks} blocks in {compared.batches} batches"
    )


def _about_batch(ledger: Ledger, batch: str) -> Iterator[Entry]:
    yield from (_refusal(each) for each in ledger.all(QuarantineAction) if each.entry.batch == batch)
    ingested = ledger.all(Batch, prefix=f"{batch}:r")
    yield from map(_ingestion, ingested)
    versions = {run_id: number for number, run_id in ledger.columns(Version, "version", "training.run_id")}
    yield from (_measurement(each, versions) for each in ledger.all(Measurement, batch=batch))
    yield from (_fit(each) for each in ledger.all(Shadow, batch=batch) if each.error is not None)
    yield from map(_drift, ledger.all(Observation, batch=batch))
    keys = {key for key in ledger.keys(Request) if key.partition(":")[2].startswith(f"{batch}:")}
    yield from _about_requests(ledger, keys)
    if ingested:
        yield from _use(ledger, batch, min(each.manifest.end for each in ingested))
    yield from _erasures(ledger, batch=batch)


def _measurement(measured: Measurement, versions: Mapping[str, str]) -> Entry:
    champion = measured.champion
    fresh = {f"fresh model of {name}": run for name, run in measured.shadows.items()}
    roles = {"champion": champion, **fresh, "baseline": BASELINE}
    scores = {role: measured.scores[run] for role, run in roles.items() if run and run in measured.scores}
    losses = [f"{role} {score.loss:.4f}" for role, score in scores.items()]
    metric = f" {next(iter(scores.values())).metric} per row" if scores else ""
    shadows = {run: f"the fresh model of {name}" for name, run in measured.shadows.items()}
    failed = [
        f"; no score of {shadows.get(run) or f'version {versions.get(run, run)}'}: {reason}"
        for run, reason in measured.failed.items()
    ]
    text = f"{', '.join(losses) or 'no model to score'}{metric}; {measured.leader} leads{''.join(failed)}"
    return _entry(
        measured,
        "measured",
        f"revision {measured.revision}: {text}",
        version=versions.get(champion) if champion else None,
    )


def _fit(shadow: Shadow) -> Entry:
    return _entry(
        shadow, "fit failed", f"{shadow.candidate}, attempt {shadow.attempt} of {ATTEMPTS}: {shadow.error}"
    )


def _drift(seen: Observation) -> Entry:
    drifted = [column.column for column in seen.data.columns if column.drifted]
    text = f"{len(drifted)} of {len(seen.data.columns)} features drifted: {', '.join(drifted)}"
    return _entry(seen, "data drift", text.removesuffix(": "), version=seen.champion)


def _use(ledger: Ledger, batch: str, since: datetime) -> Iterator[Entry]:
    """Yield which versions were trained on a batch that ends then."""
    used = [
        each
        for each in ledger.all(Version, since=since)
        if any(ref.batch == batch for ref in each.training.batches)
    ]
    if used:
        numbers = [each.version for each in used]
        text = ", ".join(numbers) if len(numbers) <= 5 else f"{len(numbers)}, {numbers[0]} to {numbers[-1]}"
        yield _entry(used[0], "trained on", f"by these versions: {text}")


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
