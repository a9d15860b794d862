"""What the Model health page shows, read from the ledger: the newest batches, and what was decided on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.contracts import Verdict
from trimtab.errors import Unknown
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import (
    DecisionRecord,
    JudgementRecord,
    Transition,
    VersionRecord,
)
from trimtab.loop.loop import open_loop
from trimtab.params import Params
from trimtab.views.page.view import (
    Answer,
    Batch,
    Health,
    Judged,
    Lineage,
    Moved,
    Reign,
    Waiting,
)
from trimtab.views.page.view_models import measured

_FORMER = 20
"""Versions that can be chosen to go back to; any other by its number in Airflow's own form."""

_MOVES: tuple[tuple[str, Moved], ...] = (
    (":force", "forced"),
    (":rollback", "rolled back"),
    ("restore:", "restored"),
    ("adopt:", "adopted"),
)


def health(last: int) -> Health:
    """Read what there is to see of the newest `last` batches.

    Raises:
        StoreUnreachable: The ledger or the origin does not answer.
        Unfit: The ledger is of another revision than this code.
    """
    loop = open_loop()
    return read(loop.ledger, loop.params, last)


def evidence(sha256: str) -> Verdict:
    """Return the verdict with an evidence hash.

    Raises:
        Unknown: The ledger holds none.
    """
    loop = open_loop()
    found = loop.ledger.evidence(loop.model, sha256)
    if found is None:
        raise Unknown("the evidence hash of a verdict in the ledger", sha256)
    return found


def read(ledger: Ledger, wanted: Params, last: int) -> Health:
    """Read one model's page from a ledger; what it asks for is bounded by the number of batches."""
    model = wanted.model.name
    records = ledger.batches(model, last=last)
    seen = [
        measured(one, wanted)
        for one in ledger.observations(model, of=[record.manifest.batch for record in records])
    ]
    newest = {one.batch: one for one in sorted(seen, key=lambda one: one.revision)}
    batches = tuple(
        Batch(
            batch=record.manifest.batch,
            revision=record.manifest.revision,
            start=record.manifest.start,
            end=record.manifest.end,
            rows=record.manifest.rows,
            labelled=record.manifest.labelled,
            bad_rows=record.manifest.bad_rows,
            measured=newest.get(record.manifest.batch),
        )
        for record in records
    )
    since = batches[0].start if batches else None
    reigns, standing = tuple(_reigns(ledger, model)), ledger.standing(model)
    champion = reigns[-1].version if reigns else None
    served = dict.fromkeys(reign.version for reign in reversed(reigns))
    former = [one for one in served if one != champion and one not in standing.blocked]
    challenger = ledger.open_challenger(model)
    return Health(
        model=model,
        metric=wanted.gate.metric,
        now=ledger.now(),
        event_now=ledger.event_now(model),
        last=last,
        start_batches=wanted.train.start_batches,
        batches=batches,
        measured=tuple(seen),
        champion=None if champion is None else _lineage(ledger, model, champion),
        challenger=None if challenger is None else _lineage(ledger, model, challenger),
        reigns=tuple(reign for reign in reigns if since is None or reign.end is None or reign.end > since),
        former=tuple(former[:_FORMER]),
        answers=tuple(_answers(ledger, model, since)),
        waiting=tuple(_waiting(ledger, model)),
        standing=standing,
        quarantine=ledger.open_quarantine(model),
    )


def _reigns(ledger: Ledger, model: str) -> Iterator[Reign]:
    moves = [one for one in ledger.transitions(model, to="Production") if one.phase == "done"]
    for place, record in enumerate(moves):
        move, after = record.transition, moves[place + 1 : place + 2]
        yield Reign(
            version=move.version,
            begin=move.event_time,
            end=after[0].transition.event_time if after else None,
            moved=_moved(move),
            at=record.at,
            actor=move.actor,
            reason=move.reason,
            evidence=move.evidence_sha256,
        )


def _moved(move: Transition) -> Moved:
    return next((how for part, how in _MOVES if part in move.key), "promoted")


def _lineage(ledger: Ledger, model: str, version: str) -> Lineage | None:
    record = ledger.versions(model, only=[version]).get(version)
    if record is None:
        return None
    training = record.training
    judged_key = record.run_key.removesuffix(":refit")
    asked = ledger.decisions(model, requests=[_request_of(model, judged_key)], actions=["RETRAIN"])
    judgement = ledger.judgement_of(model, judged_key)
    plan = asked[0].plan if asked else None
    return Lineage(
        version=version,
        commit=plan.commit if plan else None,
        run_id=training.run_id,
        batches=tuple(ref.batch for ref in training.batches),
        rows=training.rows,
        trained_through=training.trained_through,
        trained_at=record.at,
        digest=training.digest,
        refit_of=record.refit_of,
        state=judgement.state if judgement else None,
        reason=judgement.reason if judgement else "",
        evidence=judgement.evidence_sha256 if judgement else None,
    )


def _request_of(model: str, run_key: str) -> int:
    number = run_key.removeprefix(f"{model}-")
    return int(number) if number.isdecimal() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """Ends of judgements in the window, by the key of the run that made the challenger and by look."""

    by_look: Mapping[tuple[str, int], JudgementRecord]
    versions: Mapping[str, VersionRecord]

    def of(self, decision: DecisionRecord) -> Judged | None:
        """Return what became of the run that a decision started."""
        plan = decision.plan
        if plan is None:
            return None
        made = self.versions.get(plan.challenger.version) if plan.challenger else None
        record = self.by_look.get((made.run_key if made else decision.run_key, plan.look))
        if record is None:
            return None
        version = self.versions.get(record.version) if record.version else None
        return Judged(
            state=record.state,
            reason=record.reason,
            version=record.version,
            evidence=record.evidence_sha256,
            run_id=version.training.run_id if version else None,
        )


def _answers(ledger: Ledger, model: str, since: datetime | None) -> Iterator[Answer]:
    decisions = ledger.decisions(model, since=since)
    asked = ledger.requests(model, ids={record.request_id for record in decisions})
    requests = {record.id: record.request for record in asked}
    ended = _ended(ledger, model, since, decisions)
    for record in decisions:
        request = requests[record.request_id]
        yield Answer(
            at=record.at,
            event_time=record.event_time,
            source=request.source,
            asked=request.reason,
            action=record.action,
            reason=record.reason,
            judged=ended.of(record),
        )


def _ended(ledger: Ledger, model: str, since: datetime | None, decisions: Sequence[DecisionRecord]) -> _Ended:
    judged = [one for one in ledger.judgements(model, since=since) if one.verdict is not None]
    challengers = [one.plan.challenger.version for one in decisions if one.plan and one.plan.challenger]
    wanted = {one.version for one in judged if one.version is not None} | set(challengers)
    return _Ended(
        by_look={(one.run_key, one.verdict.look): one for one in judged if one.verdict is not None},
        versions=ledger.versions(model, only=wanted),
    )


def _waiting(ledger: Ledger, model: str) -> Iterator[Waiting]:
    waiting = ledger.waiting(model)
    answers = ledger.decisions(model, requests=[one.id for one in waiting])
    why = {one.request_id: one.reason for one in answers}
    for one in waiting:
        yield Waiting(at=one.at, source=one.request.source, asked=one.request.reason, why=why.get(one.id))
