"""Write a request, and let the arbiter answer all that wait."""

import logging
from dataclasses import replace

from trimtab.contracts import Champion, Decision, Manifest, Plan, Request, Source
from trimtab.errors import NotEnoughBatches
from trimtab.registry.records import RequestRecord
from trimtab.steps.loop import Loop, open_loop
from trimtab.steps.reconcile import mend
from trimtab.trigger import arbiter
from trimtab.trigger.planning import make_plan

log = logging.getLogger(__name__)


def arbitrate(
    run_id: str,
    source: Source | None,
    *,
    reason: str = "",
    window_batches: int | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> str | None:
    """Answer the waiting requests; return the key of the training run to do now, or None.

    Args:
        run_id: The Airflow run that asks. It becomes the holder of the lease, and the episode of its own request. Asked
            again by the same run (a cleared task), the answer is the same.
        source: `schedule` or `ui` when the run itself is a request; None when it was only woken.
        reason: What the person wrote.
        window_batches: Newest batches to train on, instead of `train.window_batches`.
        force: Go on in spite of a cooldown. The gate is never skipped.
        dry_run: Train and judge, but register and move nothing.
    """
    loop = open_loop()
    mend(loop)
    own = [record for record in loop.ledger.retrainings(loop.model) if record.holder == run_id]
    if own:
        loop.ledger.hold(loop.lease, holder=run_id, minutes=loop.params.trigger.lease_minutes)
        return own[-1].run_key
    manifests = loop.origin.manifests(loop.commit)
    if source is not None:
        asked = Request(
            model=loop.model,
            source=source,
            episode=run_id,
            reason=reason or "no reason given",
            event_time=max((manifest.end for manifest in manifests), default=loop.ledger.now()),
            window_batches=window_batches,
            force=force,
            dry_run=dry_run,
        )
        loop.ledger.add_request(asked)
    champion = loop.champion()
    with loop.ledger.write():
        return _answer(loop, run_id, manifests, champion)


def _answer(loop: Loop, run_id: str, manifests: list[Manifest], champion: Champion | None) -> str | None:
    waiting = {record.id: record for record in loop.ledger.waiting(loop.model)}
    run_key = None
    for answer in arbiter.arbitrate(list(waiting.values()), _state(loop, manifests, champion), loop.params):
        record, plan = waiting[answer.request_id], None
        if answer.action == "RETRAIN":
            try:
                plan = _plan(loop, record, manifests, champion)
            except NotEnoughBatches as error:
                answer = replace(answer, action="WAIT", reason=str(error))
        run_key = _write(loop, record, answer, run_id, plan) or run_key
    return run_key


def _write(loop: Loop, record: RequestRecord, answer: Decision, run_id: str, plan: Plan | None) -> str | None:
    event_time = plan.cutoff if plan is not None else record.request.event_time
    written = loop.ledger.decide(loop.model, answer, holder=run_id, event_time=event_time, plan=plan)
    log.info("Request %s (%s): %s, %s", record.id, record.request.source, answer.action, answer.reason)
    if written is None or plan is None:
        return None
    loop.ledger.hold(loop.lease, holder=run_id, minutes=loop.params.trigger.lease_minutes)
    return written.run_key


def _state(loop: Loop, manifests: list[Manifest], champion: Champion | None) -> arbiter.State:
    real = [
        record for record in loop.ledger.retrainings(loop.model) if record.plan and not record.plan.dry_run
    ]
    last = real[-1].event_time if real else None
    through = champion.trained_through if champion else None
    return arbiter.State(
        batches=len(manifests),
        fresh_batches=sum(through is None or manifest.start >= through for manifest in manifests),
        champion=champion.version if champion else None,
        in_flight=loop.ledger.lease_holder(loop.lease),
        batches_since_retraining=None if last is None else sum(manifest.end > last for manifest in manifests),
    )


def _plan(loop: Loop, record: RequestRecord, manifests: list[Manifest], champion: Champion | None) -> Plan:
    return make_plan(
        wanted=loop.params,
        commit=loop.commit,
        manifests=manifests,
        champion=champion,
        window_batches=record.request.window_batches,
        decision=f"{loop.model}-{record.id}",
        dry_run=record.request.dry_run,
    )
