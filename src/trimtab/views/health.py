"""What the Model health page shows, read from the ledger: the newest batches, and what was decided on them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from trimtab.contracts import Manifest, Regret
from trimtab.data.batches import sufficiently_labelled
from trimtab.errors import Unknown
from trimtab.evaluate.alarms import NEWEST, Alarms, alarms
from trimtab.evaluate.regret import regret
from trimtab.ledger import (
    Answer,
    Batch,
    Ledger,
    Measurement,
    Observation,
    Order,
    QuarantineAction,
    Question,
    Request,
    Run,
    RunEnd,
    Transition,
    Version,
    Wait,
    queries,
    state,
)
from trimtab.loop.loop import open_loop
from trimtab.params import Params
from trimtab.trigger.standing import record_from, standing, tenures_from
from trimtab.views.page.view import (
    Asking,
    Decided,
    Health,
    Lineage,
    MeasuredBatch,
    Quality,
    Tenure,
    Waiting,
)
from trimtab.views.race import race

_HOW = {
    "promote": "deployed",
    "force": "forced",
    "rollback": "rolled back",
    "restore": "restored",
    "adopt": "adopted",
}
_FORMER = 20
"""Versions that the page offers for a rollback; Airflow's own form takes any other by its number."""
_BEFORE = NEWEST
"""Batches before those shown that are read as well: alarms and the share of a regret look back."""


def health(last: int) -> Health:
    """Read the page of the newest `last` batches.

    Raises:
        StoreUnreachable: The ledger or the origin does not answer.
        Unfit: The ledger has another schema than this code.
    """
    loop = open_loop()
    return read(loop.ledger, loop.params, last)


def evidence(request: str) -> tuple[Request, Answer]:
    """Return a request by its key, and its answer, which holds evidence.

    Raises:
        Unknown: The ledger holds none.
    """
    ledger = open_loop().ledger
    asked, answer = ledger.get(Request, request), ledger.get(Answer, request)
    if asked is None or answer is None or answer.evidence is None:
        raise Unknown("the key of a request whose answer holds evidence", request)
    return asked, answer


def read(ledger: Ledger, params: Params, last: int) -> Health:
    """Read one model's page; the number of large facts that are read is bounded by the number of batches."""
    moves = queries.to_production(ledger)
    batches = _batches(ledger, moves, last)
    manifests = [batch.manifest for batch in batches[-last:]]
    since = manifests[0].start if manifests else None
    measured = ledger.all(Measurement, since=batches[0].manifest.end) if batches else []
    qualities = _qualities(ledger, params, measured, moves, batches)
    answers = _answers(ledger, moves, since)
    tenures = _tenures(moves, answers)
    orders = state.orders_in_force(ledger.all(Order))
    champion = tenures[-1].version if tenures else None
    served = dict.fromkeys(tenure.version for tenure in reversed(tenures))
    former = [version for version in served if version not in (champion, *orders.blocked)]
    staged = queries.in_staging(queries.completed(ledger))
    waits = waiting(ledger)
    asking = {question.key: question for question in ledger.all(Question, keys=queries.asking(ledger))}
    return Health(
        params=params,
        now=ledger.now(),
        event_now=state.event_now(batches),
        last=last,
        batches=tuple(_measured_batches(ledger, params, manifests, qualities)),
        qualities=tuple(each for each in qualities if since and each.measurement.event_time > since),
        champion=_lineage(ledger, champion, tenures[-1].answer) if champion else None,
        challenger=_lineage(ledger, staged[-1]) if staged else None,
        race=race(ledger, params, standing(ledger, params)),
        tenures=tuple(each for each in tenures if since is None or each.end is None or each.end > since),
        former=tuple(former[:_FORMER]),
        decisions=tuple(_decisions(ledger, answers, waits, since)),
        waiting=tuple(waits),
        questions=tuple(
            Asking(run=run, question=asking[run.key]) for run in ledger.all(Run, keys=asking.keys())
        ),
        orders=orders,
        quarantine=state.open_quarantine(ledger.all(QuarantineAction)),
    )


def _batches(ledger: Ledger, moves: Sequence[Transition], last: int) -> list[Batch]:
    """Return the batches to show, those since the deployment of the champion, and some before."""
    since = ledger.all(Batch, since=moves[-1].event_time) if moves else []
    return state.batches_in_force([*queries.newest_batches(ledger, max(last, len(since)) + _BEFORE), *since])


def _qualities(
    ledger: Ledger,
    params: Params,
    measured: Sequence[Measurement],
    moves: Sequence[Transition],
    batches: Sequence[Batch],
) -> list[Quality]:
    """Return the measurements, oldest first, with the regret and the alarms of those in force."""
    rows = ledger.columns(Version, "training.run_id", "version", keys={move.version for move in moves})
    versions, regrets = dict(rows), _regrets(ledger, measured, moves, batches)
    alarmed = alarms_by_batch(measured, batches, params.drift.concept.rate)
    order = {batch.manifest.batch: place for place, batch in enumerate(batches)}
    newest = _by_batch(measured)
    return [
        Quality(
            measurement=each,
            version=versions.get(each.champion),
            regret=regrets.get(each.batch) if each is newest[each.batch] else None,
            alarms=alarmed.get(each.batch, Alarms()) if each is newest[each.batch] else Alarms(),
        )
        for each in sorted(measured, key=lambda each: (order.get(each.batch, -1), each.revision))
        if each.decision is None  # else it has no score of the champion
    ]


def _by_batch(measured: Iterable[Measurement]) -> dict[str, Measurement]:
    """Return the measurement of the newest revision of each batch."""
    own = (each for each in measured if each.decision is None)
    return {each.batch: each for each in sorted(own, key=lambda each: each.revision)}


def _regrets(
    ledger: Ledger, measured: Sequence[Measurement], moves: Sequence[Transition], batches: Sequence[Batch]
) -> dict[str, Regret]:
    """Return what the champion of each batch had lost by then; it is unknown if its deployment is too long ago."""
    record, ids = record_from(measured, (), batches)
    tenures = tenures_from(ledger, moves, ids)
    leaders = {batch: each.leader for batch, each in _by_batch(measured).items()}
    regrets = {}
    for number, tenure in enumerate(tenures):
        end = tenures[number + 1].since if number + 1 < len(tenures) else len(record)
        if number == 0 or number == len(tenures) - 1 or tenure.since > 0:
            for place in range(tenure.since, end):
                since, before = record[tenure.since : place + 1], record[max(0, place - _BEFORE) : place + 1]
                leader = leaders.get(record[place].batch, "")
                regrets[record[place].batch] = regret(before, since, champion=tenure.model, leader=leader)
    return regrets


def alarms_by_batch(
    measured: Sequence[Measurement], batches: Sequence[Batch], rate: float
) -> dict[str, Alarms]:
    """Return the alarms of each measured batch, as far as the measurements go back."""
    (record, _), newest = record_from(measured, (), batches), _by_batch(measured)
    return {
        scored.batch: alarms(record[: place + 1], leader=newest[scored.batch].leader, rate=rate)
        for place, scored in enumerate(record)
        if scored.batch in newest
    }


def _measured_batches(
    ledger: Ledger, params: Params, manifests: Sequence[Manifest], qualities: Sequence[Quality]
) -> Iterator[MeasuredBatch]:
    by_batch = {each.measurement.batch: each for each in qualities}
    observed = ledger.all(Observation, since=manifests[0].end) if manifests else []
    observations = {each.batch: each for each in sorted(observed, key=lambda each: each.revision)}
    limit, enough = params.data.min_label_coverage, sufficiently_labelled(manifests, params.data)
    for manifest in manifests:
        labels = f"{manifest.labelled:,} of {manifest.rows:,} rows have a label"
        yield MeasuredBatch(
            manifest=manifest,
            quality=by_batch.get(manifest.batch),
            observation=observations.get(manifest.batch),
            unmeasured=(
                "not measured" if manifest in enough else f"{labels}, data.min_label_coverage is {limit:g}"
            ),
        )


def _lineage(ledger: Ledger, number: str, answer: Answer | None = None) -> Lineage | None:
    version = ledger.get(Version, number)
    return Lineage(version=version, answer=answer) if version else None


def _answers(ledger: Ledger, moves: Sequence[Transition], since: datetime | None) -> list[Answer]:
    """Return the answers about the batches, and those that led to the versions that served them."""
    begun = [move.event_time for move in moves if since is None or move.event_time <= since]
    return ledger.all(Answer, since=begun[-1] if begun else since)


def _tenures(moves: Sequence[Transition], answers: Sequence[Answer]) -> list[Tenure]:
    causes = {cause: answer for answer in answers for cause in (answer.run, answer.request)}
    ends = [*(move.event_time for move in moves[1:]), None]
    return [
        Tenure(
            transition=move,
            version=move.version,
            how=_HOW[move.kind],
            begin=move.event_time,
            end=end,
            answer=causes.get(move.key.rpartition(":")[0]),
        )
        for move, end in zip(moves, ends, strict=False)
    ]


def _decisions(
    ledger: Ledger, answers: Sequence[Answer], waits: Sequence[Waiting], since: datetime | None
) -> Iterator[Decided]:
    runs = ledger.all(Run, since=since)
    recent = [answer for answer in answers if since is None or answer.event_time >= since]
    decisions = state.decisions(runs, recent, ledger.all(Wait, since=since))
    asked = ledger.all(Request, keys={decision.request for decision in decisions})
    requests, waiting_keys = {each.key: each for each in asked}, {each.request.key for each in waits}
    keys = [decision.key for decision in decisions if isinstance(decision, Run)]
    ends = {end.key: end for end in ledger.all(RunEnd, keys=keys)}
    questions = {question.key: question for question in ledger.all(Question, keys=keys)}
    for decision in decisions:
        is_run = isinstance(decision, Run)
        yield Decided(
            decision=decision,
            request=requests[decision.request],
            end=ends.get(decision.key) if is_run else None,
            question=questions.get(decision.key) if is_run else None,
            waits=decision.request in waiting_keys,
        )


def waiting(ledger: Ledger) -> list[Waiting]:
    """Return the requests without a final answer, oldest first, and why each of them waits."""
    requests = queries.waiting_requests(ledger)
    if not requests:
        return []
    since, ends = min(request.event_time for request in requests), ledger.all(RunEnd)
    waits = {wait.request: wait for wait in ledger.all(Wait, since=since)}
    return [Waiting(request=each, why=_why(each, waits.get(each.key), ends)) for each in requests]


def _why(request: Request, wait: Wait | None, ends: Sequence[RunEnd]) -> str | None:
    """Return the arbiter's sentence; a run that has ended since then is named, because the sentence may be about it."""
    later = [end for end in ends if wait is None or end.id > wait.id]
    own = [end for end in later if end.request == request.key]
    if own or wait is None:
        return f"{_ended(own[-1])}: {own[-1].reason}" if own else None
    return f"{wait.reason}. Since then, {_ended(later[-1])}" if later else wait.reason


def _ended(end: RunEnd) -> str:
    return f"run {end.key} {'was' if end.outcome == 'lost' else 'has'} {end.outcome}"
