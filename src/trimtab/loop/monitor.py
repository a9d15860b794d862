"""What follows from the measurements: the newest model goes to Staging, and the policy asks for what it finds due."""

import logging
from contextlib import suppress
from typing import Any

import pandas as pd

from trimtab.drift import data_drift
from trimtab.errors import LeaseHeld
from trimtab.evaluate.record import recipe_number
from trimtab.ledger import Batch, Observation, Request, Shadow, Version, batch_key, queries
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.measure import take_lease
from trimtab.loop.notify import notify
from trimtab.loop.stage import stage
from trimtab.registry import tracking
from trimtab.train.features import design
from trimtab.trigger.policy import decide, never_decide
from trimtab.trigger.standing import Standing, standing

log = logging.getLogger(__name__)


def find_unobserved() -> list[dict[str, Any]]:
    """Return one item per batch revision whose drift was not measured for the champion: batch, revision, champion, commit.

    Batches before its deployment are not among them. All items of a DAG run have the parameters of one commit.
    """
    loop = open_loop()
    live, refs = queries.unobserved(loop.ledger)
    return [
        {"batch": ref.batch, "revision": ref.revision, "champion": live, "commit": loop.commit}
        for ref in refs
    ]


def observe(batch: str, revision: int, champion: str, commit: str) -> dict[str, Any]:
    """Measure the data drift of one batch revision, and write Evidently's report to MLflow and the figures to the ledger."""
    loop = open_loop().at(commit)
    training = loop.ledger.require(Version, champion).training
    fact = loop.ledger.require(Batch, batch_key(batch, revision))
    frame = loop.origin.fetch_batch(batch, md5=fact.md5, commit=fact.commit)
    reference = tracking.artifact(training.run_id, "reference.parquet", cache=loop.stores.home / "models")
    trained_on, batch_rows = pd.read_parquet(reference), design(frame, loop.params.data)
    drift, save_report = data_drift.measure(trained_on, batch_rows, loop.params)
    run_id = tracking.log_drift(
        model=loop.model,
        batch=batch,
        revision=revision,
        champion=champion,
        data=drift,
        save_report=save_report,
    )
    loop.ledger.append(
        Observation(
            batch=batch,
            revision=revision,
            champion=champion,
            data=drift,
            report_run_id=run_id,
            event_time=fact.manifest.end,
        )
    )
    return {"share": drift.share, "run_id": run_id}


def assess(holder: str) -> int:
    """Move the leader's newest model to Staging, and write the requests that follow; return how many requests wait.

    A batch revision leads to one request at most. While one from the policy waits for an answer, it asks for no other.

    Args:
        holder: The Airflow run. It holds a lease while it registers a model, and gives back the one to measure.
    """
    loop = open_loop()
    now = standing(loop.ledger, loop.params)
    _tell_of_recipes(loop, now)
    newest = now.shadows.get(now.leading)
    if fault := never_decide(now.record, loop.params):
        log.warning("Some decisions are never made: %s", fault)
    if newest is not None:
        _stage(loop, newest, holder)
        _ask(loop, now, newest)
    _ask_for_drift(loop)
    with suppress(LeaseHeld):  # then this run did not measure
        loop.ledger.leases.release(take_lease(loop, holder))
    return len(queries.waiting_requests(loop.ledger))


def _tell_of_recipes(loop: Loop, now: Standing) -> None:
    """Tell people, once, that a recipe has come to lead, or that its trial is over."""
    if now.present is None or now.present.number in (1, now.on_trial):
        return
    number, leads = now.present.number, recipe_number(now.leading) == now.present.number
    text = (
        f"recipe {number} leads the race; its models are deployed when regret or age asks for it"
        if leads
        else f"recipe {number} has not proven to be better in its trial, and is not fitted any more; "
        f"`trimtab model adopt {number}` lets it lead without a proof"
    )
    notify(loop, key=f"recipe {number} {'leads' if leads else 'is out'}", kind="recipe", text=text)


def _stage(loop: Loop, newest: Shadow, holder: str) -> None:
    minutes = loop.params.trigger.lease_minutes
    try:
        with loop.ledger.leases.held(loop.lease_name, holder=holder, minutes=minutes) as lease:
            stage(loop, newest, lease, actor=holder)
    except LeaseHeld as error:
        log.info("The newest model is not registered yet: %s", error)


def _ask(loop: Loop, now: Standing, newest: Shadow) -> None:
    champion, decision = loop.champion(), decide(now.record, now.tenures, now.leading, loop.params)
    log.info("After batch %s: %s, %s", newest.batch, decision.action, decision.reason)
    asked = {request.source for request in queries.unanswered_requests(loop.ledger)}
    if decision.due is None or decision.due in asked:
        return
    loop.ledger.append(
        Request(
            source=decision.due,
            episode=f"{batch_key(newest.batch, newest.revision)}:v{champion.version if champion else 0}",
            reason=decision.reason,
            event_time=loop.event_now(),
            champion=champion.version if champion else None,
        )
    )


def _ask_for_drift(loop: Loop) -> None:
    """Ask for a deployment once per champion, with the first batch that drifted, if `drift.request_on` says so."""
    champion = loop.champion()
    if champion is None or "data" not in loop.params.drift.request_on:
        return
    limit = loop.params.drift.data.max_share
    seen = loop.ledger.all(Observation, champion=champion.version)
    first = next((each for each in seen if each.data.share > limit), None)
    if first is None:
        return
    loop.ledger.append(
        Request(
            source="drift",
            episode=first.key,
            reason=(
                f"{first.data.share:.0%} of the features of batch {first.batch} drifted, "
                f"drift.data.max_share is {limit:g}"
            ),
            event_time=loop.event_now(),
            champion=champion.version,
        )
    )
