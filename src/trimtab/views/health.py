"""What the Model health page shows, read from the ledger: the newest batches, and what was decided on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab.contracts import Verdict
from trimtab.drift import policy
from trimtab.errors import Unknown
from trimtab.ledger import (
    Answer,
    Judgement,
    Ledger,
    Observation,
    Order,
    QuarantineAction,
    Request,
    Run,
    RunEnd,
    Version,
    Wait,
    queries,
    state,
)
from trimtab.loop.loop import open_loop
from trimtab.params import Params
from trimtab.views.page.view import (
    Answered,
    Health,
    Lineage,
    MeasuredBatch,
    Measurement,
    Outcome,
    Tenure,
    Waiting,
)

_HOW = {
    "promote": "promoted",
    "force": "forced",
    "rollback": "rolled back",
    "restore": "restored",
    "adopt": "adopted",
}
_FORMER = 20
"""Versions that the page offers for a rollback; Airflow's own form takes any other by its number."""


def health(last: int) -> Health:
    """Read the page of the newest `last` batches.

    Raises:
        StoreUnreachable: The ledger or the origin does not answer.
        Unfit: The ledger has another schema than this code.
    """
    loop = open_loop()
    return read(loop.ledger, loop.params, last)


def evidence(sha256: str) -> Verdict:
    """Return the verdict with an evidence hash.

    Raises:
        Unknown: The ledger holds none.
    """
    for judgement in open_loop().ledger.all(Judgement, evidence_sha256=sha256):
        if judgement.verdict is not None:
            return judgement.verdict
    raise Unknown("the evidence hash of a verdict in the ledger", sha256)


def read(ledger: Ledger, params: Params, last: int) -> Health:
    """Read one model's page; the number of large facts that are read is bounded by the number of batches."""
    batches = queries.newest_batches(ledger, last)
    manifests = [batch.manifest for batch in batches]
    since = manifests[0].start if manifests else None
    measurements = [
        Measurement(
            observation=seen, assessment=policy.assess(seen, params), sigmas_limit=params.drift.concept.sigmas
        )
        for seen in (ledger.all(Observation, since=manifests[0].end) if manifests else [])
    ]
    newest = {
        each.observation.batch: each
        for each in sorted(measurements, key=lambda each: each.observation.revision)
    }
    moves, challenger = queries.to_production(ledger), queries.under_judgement(ledger)
    ends = [*(move.event_time for move in moves[1:]), None]
    tenures = [
        Tenure(transition=move, version=move.version, how=_HOW[move.kind], begin=move.event_time, end=end)
        for move, end in zip(moves, ends, strict=False)
    ]
    orders = state.orders_in_force(ledger.all(Order))
    champion = tenures[-1].version if tenures else None
    served = dict.fromkeys(tenure.version for tenure in reversed(tenures))
    former = [version for version in served if version not in (champion, *orders.blocked)]
    return Health(
        params=params,
        now=ledger.now(),
        event_now=state.event_now(batches),
        last=last,
        batches=tuple(
            MeasuredBatch(manifest=manifest, measurement=newest.get(manifest.batch)) for manifest in manifests
        ),
        measurements=tuple(measurements),
        champion=_lineage(ledger, champion) if champion else None,
        challenger=_lineage(ledger, challenger) if challenger else None,
        tenures=tuple(each for each in tenures if since is None or each.end is None or each.end > since),
        former=tuple(former[:_FORMER]),
        answers=tuple(_answers(ledger, since)),
        waiting=tuple(waiting(ledger)),
        orders=orders,
        quarantine=state.open_quarantine(ledger.all(QuarantineAction)),
    )


def _lineage(ledger: Ledger, number: str) -> Lineage | None:
    version = ledger.get(Version, number)
    if version is None:
        return None
    run_key = ledger.require(Version, version.refit_of).run_key if version.refit_of else version.run_key
    return Lineage(
        version=version, run=ledger.get(Run, run_key), judgement=ledger.last(Judgement, run_key=run_key)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """How runs ended: judgements by the key of the run that trained the challenger and by look, ends by run.

    `versions` holds the run that trained each version, and its MLflow run.
    """

    judgements: Mapping[tuple[str, int], Judgement]
    ends: Mapping[str, RunEnd]
    versions: Mapping[str | None, tuple[str, str | None]]

    def of(self, run: Run) -> Outcome | None:
        """Return how a run ended, None while it is in progress."""
        challenger, end = run.plan.challenger, self.ends.get(run.key)
        trained_by = self.versions[challenger.version][0] if challenger else run.key
        judgement = self.judgements.get((trained_by, run.plan.look))
        if judgement is None or (end is not None and end.outcome != "concluded"):
            return Outcome(state=end.outcome.upper(), reason=end.reason) if end else None
        _, run_id = self.versions.get(judgement.version, ("", None))
        return Outcome(state=judgement.state, reason=judgement.reason, judgement=judgement, run_id=run_id)


def outcomes(ledger: Ledger, runs: Sequence[Run], since: datetime | None = None) -> Outcomes:
    """Read how runs ended that started at this event time or later."""
    judgements = {
        (each.run_key, each.verdict.look): each for each in ledger.all(Judgement, since=since) if each.verdict
    }
    versions = {run.plan.challenger.version for run in runs if run.plan.challenger}
    versions |= {each.version for each in judgements.values() if each.version is not None}
    rows = ledger.columns(Version, "version", "run_key", "training.run_id", keys=versions)
    return Outcomes(
        judgements=judgements,
        ends={end.key: end for end in ledger.all(RunEnd, keys=[run.key for run in runs])},
        versions={version: (run_key, run_id) for version, run_key, run_id in rows},
    )


def _answers(ledger: Ledger, since: datetime | None) -> Iterator[Answered]:
    runs = ledger.all(Run, since=since)
    decisions = state.decisions(
        runs, ledger.all(Answer, since=since, run=None), ledger.all(Wait, since=since)
    )
    asked = ledger.all(Request, keys={decision.request for decision in decisions})
    requests, ended = {request.key: request for request in asked}, outcomes(ledger, runs, since)
    for decision in decisions:
        yield Answered(
            decision=decision,
            request=requests[decision.request],
            outcome=ended.of(decision) if isinstance(decision, Run) else None,
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
