"""Measure one batch: score the models that were not trained on it, and fit the candidates through it."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trimtab.contracts import Candidate, Evaluation, Fitted, Manifest, Plan, from_json
from trimtab.data.batches import sufficiently_labelled
from trimtab.data.recipes import recipe_of
from trimtab.errors import LeaseHeld
from trimtab.evaluate.record import candidates_of, recipe_number
from trimtab.ledger import (
    Batch,
    Lease,
    Ledger,
    Measurement,
    Shadow,
    batch_key,
    queries,
    shadow_prefix,
    state,
)
from trimtab.loop.loop import Loop, open_loop
from trimtab.params import Params
from trimtab.registry import tracking
from trimtab.trigger.planning import plan_batch, write_run
from trimtab.trigger.recipes import new_entry
from trimtab.trigger.standing import Standing, leader_after, newest_shadows, record_of, standing

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a candidate is fitted through a batch before the loop goes on without."""
_AT_START = 6
"""Number of newest batches that are measured when a loop begins on a long history."""


def find_unmeasured(holder: str) -> list[dict[str, Any]]:
    """Return the labelled batch revisions to measure, oldest first: batch, revision and commit of each.

    All of them have the parameters of one commit.

    Args:
        holder: The Airflow run. It holds the lease that allows one run to measure at a time, until `monitor.assess`; while
            another run holds it, there is nothing to do here.
    """
    loop = open_loop()
    try:
        lease = take_lease(loop, holder)
    except LeaseHeld as error:
        log.info("Another run measures: %s", error)
        return []
    enter_race(loop, lease)
    return [
        {"batch": manifest.batch, "revision": manifest.revision, "commit": loop.commit}
        for manifest in unmeasured(loop)
    ]


def enter_race(loop: Loop, lease: Lease | None = None) -> None:
    """Let the recipe of the parameters enter the race if it is a new one."""
    now = standing(loop.ledger, loop.params)
    if now.present is None:
        entry = new_entry(now.recipes, recipe_of(loop.params), loop.commit, loop.event_now())
        loop.ledger.append(entry, lease=lease)
        if entry.changes:
            log.info("Recipe %s enters the race: %s", entry.number, "; ".join(entry.changes))


def take_lease(loop: Loop, holder: str) -> Lease:
    """Take the lease that allows one run to measure at a time.

    Raises:
        LeaseHeld: Another run holds it.
    """
    return loop.ledger.leases.take(
        f"measure:{loop.model}", holder=holder, minutes=loop.params.trigger.lease_minutes
    )


def unmeasured(loop: Loop) -> list[Manifest]:
    """Return the batch revisions that have to be measured, oldest first.

    While a candidate has no model through the newest measured batch, because its fit has failed or because it is new, that
    batch has to be measured again if no other has.
    """
    batches = state.batches_in_force(loop.ledger.all(Batch))
    ready = without_measurement(loop.ledger, loop.params, batches)
    manifests = {fact.manifest.batch: fact.manifest for fact in batches}
    measured = [
        manifests[batch] for (batch,) in loop.ledger.columns(Measurement, "batch") if batch in manifests
    ]
    newest = max(measured, key=lambda manifest: manifest.start, default=None)
    if ready or newest is None:
        return ready
    return [newest] if _missing(loop, standing(loop.ledger, loop.params), newest) else []


def without_measurement(ledger: Ledger, params: Params, batches: Sequence[Batch]) -> list[Manifest]:
    """Return those of the batches in force that have enough labels and no measurement, oldest first.

    A batch waits until enough of its labels are known by the event clock: with labels that come a day later, a daily batch
    waits for the next one. The first shadows are fitted through the batch that comes two before `train.start_batches`, or
    six before the newest one if the history is longer.
    """
    manifests = sufficiently_labelled([batch.manifest for batch in batches], params.data)
    measured, now = set(ledger.keys(Measurement)), state.event_now(batches)
    return [
        manifest
        for manifest in manifests[_first(ledger, params, manifests) :]
        if batch_key(manifest.batch, manifest.revision) not in measured
        and (manifest.enough_labels_at is None or now is None or manifest.enough_labels_at <= now)
    ]


def _first(ledger: Ledger, params: Params, manifests: Sequence[Manifest]) -> int:
    """Return the place of the first batch to measure."""
    earliest = ledger.columns(Measurement, "batch")[:1]
    begun = [place for place, manifest in enumerate(manifests) if (manifest.batch,) in earliest]
    return begun[0] if begun else max(params.train.start_batches - 3, len(manifests) - _AT_START - 1)


def measure(batches: Sequence[Mapping[str, Any]], holder: str) -> list[dict[str, Any]]:
    """Measure the items of `find_unmeasured` in their order, and write what was measured to the ledger.

    This decides nothing. A batch that cannot be measured stops no other. If a batch is measured twice, the first measurement
    stands.

    Returns:
        For each batch the number of models that were scored and that were fitted, and why others have no score.

    Raises:
        ExceptionGroup: Some batches could not be measured; the others were.
        LeaseHeld: Another run measures.
    """
    done, errors = [], []
    for item in batches:
        try:
            done.append(_measure(**item, holder=holder))
        except LeaseHeld:
            raise
        except Exception as error:  # of whatever kind: the next batches are measured all the same
            log.exception("Batch %s could not be measured", item["batch"])
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(batches)} batches could not be measured", errors)
    return done


def _measure(batch: str, revision: int, commit: str, holder: str) -> dict[str, Any]:
    loop = open_loop().at(commit)
    fact = loop.ledger.require(Batch, batch_key(batch, revision))
    lease = take_lease(loop, holder)
    with loop.ledger.leases.kept_alive(lease):
        plan = _plan(loop, fact.manifest)
        if not plan.fits and fact.key in loop.ledger.keys(Measurement):  # by an earlier attempt of this task
            return {"batch": batch, "scored": 0, "fitted": 0, "failed": {}}
        name = f"measure-{batch}-r{revision}"
        return {"batch": batch, **carry_out(loop, plan, name, lease, measured=batch)}


def carry_out(
    loop: Loop, plan: Plan, name: str, lease: Lease, *, measured: str | None = None
) -> dict[str, Any]:
    """Run the MLflow Project of a plan, and write the measurements and the fitted models to the ledger.

    Args:
        loop: The stores, with the parameters of the plan's commit.
        plan: What to fit and to score.
        name: Of the MLflow run, and of the folder with the checkout.
        lease: The lease of the task.
        measured: The batch that was measured, None for a run that a person asked for. Measurements of all others, and of
            this one if it was measured before, stand beside the first ones, under the plan's `decision`.

    Returns:
        The number of models that were scored and that were fitted, and why others have no score.
    """
    evaluation, fitted = _run_project(loop, plan, name)
    _record(loop, plan, evaluation, fitted, lease, measured)
    return {
        "scored": sum(map(len, evaluation.scores.values())),
        "fitted": sum(each.training is not None for each in fitted),
        "failed": dict(evaluation.failed),
    }


def _run_project(loop: Loop, plan: Plan, name: str) -> tuple[Evaluation, Sequence[Fitted]]:
    folder = loop.stores.work / name
    loop.origin.checkout(folder, plan.commit, [ref.batch for ref in plan.batches])
    write_run(folder / "run.yaml", plan)
    tracking.project_run(
        folder, "measure", env_manager=loop.params.train.env_manager, experiment=plan.model, run_name=name
    )
    evaluation = from_json(Evaluation, (folder / "build" / "evaluation.json").read_bytes())
    fitted = from_json(list[Fitted], (folder / "build" / "fitted.json").read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
    return evaluation, fitted


def _record(
    loop: Loop,
    plan: Plan,
    evaluation: Evaluation,
    fitted: Sequence[Fitted],
    lease: Lease,
    measured: str | None,
) -> None:
    keys = {ref.batch: batch_key(ref.batch, ref.revision) for ref in plan.batches}
    manifests = {fact.manifest.batch: fact.manifest for fact in loop.ledger.all(Batch, keys=keys.values())}
    champion, before = loop.champion(), set(loop.ledger.keys(Measurement))
    leading = standing(loop.ledger, loop.params).leading
    new_batch = measured if measured and keys[measured] not in before else None
    measurements = [
        Measurement(
            batch=scored.batch,
            revision=manifests[scored.batch].revision,
            scores=scored.scores,
            champion=champion.run_id if champion else None,
            shadows={**(plan.shadows if scored.batch == new_batch else {}), **scored.shadows},
            leader=leading,
            failed=evaluation.failed,
            decision=None if scored.batch == new_batch else plan.decision,
            event_time=manifests[scored.batch].end,
        )
        for scored in record_of(evaluation, fitted, [ref.batch for ref in plan.batches])
    ]
    measurements = [
        (
            replace(each, leader=leader_after(loop.ledger, each, loop.params))
            if each.batch == new_batch
            else each
        )
        for each in measurements
    ]
    shadows = (_shadow(loop, evaluation, each, manifests) for each in fitted)
    loop.ledger.append(*shadows, *measurements, lease=lease)


def _shadow(loop: Loop, evaluation: Evaluation, fitted: Fitted, manifests: Mapping[str, Manifest]) -> Shadow:
    fit, manifest = fitted.fit, manifests[fitted.fit.through]
    attempts = loop.ledger.keys(Shadow, prefix=shadow_prefix(fit.candidate, fit.through, manifest.revision))
    return Shadow(
        candidate=fit.candidate,
        batch=fit.through,
        revision=manifest.revision,
        training=fitted.training,
        examined=evaluation.examined.get(fitted.training.run_id) if fitted.training else None,
        error=fitted.error,
        attempt=len(attempts) + 1,
        event_time=manifest.end,
    )


def _plan(loop: Loop, manifest: Manifest) -> Plan:
    batches, now = state.batches_in_force(loop.ledger.all(Batch)), standing(loop.ledger, loop.params)
    earlier = [batch for batch in batches if batch.manifest.start < manifest.start]
    shadows = {
        name: shadow.training
        for name, shadow in newest_shadows(loop.ledger, earlier).items()
        if shadow.training is not None and recipe_number(name) in now.racing
    }
    served = queries.served(loop.ledger)
    watched = now.tenures and len(now.record) - now.tenures[-1].since < loop.params.watch.batches
    models = {
        model.run_id: model
        for model in (*shadows.values(), served.champion, served.former if watched else None)
        if model is not None
    }
    missing, own = _missing(loop, now, manifest), recipe_of(loop.params)
    entering = [
        each for each in missing if now.record and not loop.ledger.keys(Shadow, prefix=f"{each.name}:")
    ]
    return plan_batch(
        params=loop.params,
        commit=loop.commit,
        manifests=[batch.manifest for batch in batches],
        batch=manifest.batch,
        models=[replace(each, recipe=None) if each.recipe == own else each for each in models.values()],
        shadows={name: training.run_id for name, training in shadows.items()},
        candidates=[each for each in missing if each not in entering],
        entering=entering,
        decision=f"entry of {entering[0].name}" if entering else None,
    )


def _missing(loop: Loop, now: Standing, manifest: Manifest) -> list[Candidate]:
    """Return the candidates without a model through a batch; none once a later batch was measured."""
    measured = {batch for (batch,) in loop.ledger.columns(Measurement, "batch")}
    batches = [batch.manifest for batch in loop.ledger.all(Batch)]
    if any(other.start > manifest.start and other.batch in measured for other in batches):
        return []
    own, recipes = recipe_of(loop.params), {entry.number: entry.recipe for entry in now.recipes}
    candidates = (
        Candidate(
            name=name, window=window, recipe=None if recipes.get(number) == own else recipes.get(number)
        )
        for number in now.racing
        for name, window in candidates_of(number, loop.params).items()
    )
    recent = [scored.batch for scored in now.record if scored.batch != manifest.batch]
    recent = recent[max(0, len(recent) + 1 - loop.params.train.shadow_every) :]
    return [
        each
        for each in candidates
        if _is_missing(loop, shadow_prefix(each.name, manifest.batch, manifest.revision))
        and not (each.name in now.shadows and now.shadows[each.name].batch in recent)
    ]


def _is_missing(loop: Loop, prefix: str) -> bool:
    attempts = loop.ledger.all(Shadow, prefix=prefix)
    return len(attempts) < ATTEMPTS and all(each.training is None for each in attempts)
