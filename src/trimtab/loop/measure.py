"""Measure one batch: score the models that were not trained on it, and fit the candidates through it."""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from trimtab.contracts import Evaluation, Fitted, Manifest, Plan, TrainedModel, from_json
from trimtab.data.batches import sufficiently_labelled
from trimtab.errors import LeaseHeld
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
from trimtab.trigger.planning import plan_batch, write_champion, write_run
from trimtab.trigger.policy import rules_of
from trimtab.trigger.standing import leader_after, newest_shadows, record_of, standing

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
        take_lease(loop, holder)
    except LeaseHeld as error:
        log.info("Another run measures: %s", error)
        return []
    return [
        {"batch": manifest.batch, "revision": manifest.revision, "commit": loop.commit, "holder": holder}
        for manifest in unmeasured(loop)
    ]


def take_lease(loop: Loop, holder: str) -> Lease:
    """Take the lease that allows one run to measure at a time.

    Raises:
        LeaseHeld: Another run holds it.
    """
    return loop.ledger.leases.take(
        f"measure:{loop.model}", holder=holder, minutes=loop.params.trigger.lease_minutes
    )


def unmeasured(loop: Loop) -> list[Manifest]:
    """Return the labelled batch revisions that have to be measured, oldest first.

    While a fit through the newest batch has failed, that batch has to be measured again if no other has.
    """
    batches = state.batches_in_force(loop.ledger.all(Batch))
    labelled = sufficiently_labelled([batch.manifest for batch in batches], loop.params.data)
    pending = without_measurement(loop.ledger, loop.params, batches)
    if not pending and labelled and loop.ledger.keys(Measurement) and _candidates(loop, labelled[-1]):
        pending = labelled[-1:]
    return pending


def without_measurement(ledger: Ledger, params: Params, batches: Sequence[Batch]) -> list[Manifest]:
    """Return those of the batches in force that have enough labels and no measurement, oldest first.

    The first shadows are fitted through the batch that comes two before `train.start_batches`, or six before the newest
    one if the history is longer.
    """
    labelled = sufficiently_labelled([batch.manifest for batch in batches], params.data)
    measured = set(ledger.keys(Measurement))
    return [
        manifest
        for manifest in labelled[_first(ledger, params, labelled) :]
        if batch_key(manifest.batch, manifest.revision) not in measured
    ]


def _first(ledger: Ledger, params: Params, labelled: Sequence[Manifest]) -> int:
    """Return the place of the first batch to measure."""
    earliest = ledger.columns(Measurement, "batch")[:1]
    begun = [place for place, manifest in enumerate(labelled) if (manifest.batch,) in earliest]
    return begun[0] if begun else max(params.train.start_batches - 3, len(labelled) - _AT_START - 1)


def measure(batch: str, revision: int, commit: str, holder: str) -> dict[str, Any]:
    """Measure one item of `find_unmeasured`, and write what was measured to the ledger.

    This decides nothing. If a batch is measured twice, the first measurement stands.

    Returns:
        The number of models that were scored and that were fitted, and why others have no score.

    Raises:
        LeaseHeld: Another run measures.
    """
    loop = open_loop().at(commit)
    fact = loop.ledger.require(Batch, batch_key(batch, revision))
    lease = take_lease(loop, holder)
    with loop.ledger.leases.kept_alive(lease):
        plan = _plan(loop, fact.manifest)
        evaluation, fitted = run_project(loop, plan, f"measure-{batch}-r{revision}")
        record(loop, plan, evaluation, fitted, lease)
    return {
        "scored": sum(map(len, evaluation.scores.values())),
        "fitted": sum(each.training is not None for each in fitted),
        "failed": dict(evaluation.failed),
    }


def run_project(loop: Loop, plan: Plan, name: str) -> tuple[Evaluation, Sequence[Fitted]]:
    """Run the MLflow Project of the plan's commit in a checkout, and return what it leaves behind.

    Args:
        loop: The stores, with the parameters of the commit.
        plan: What to fit and to score.
        name: Of the folder and of the MLflow run.
    """
    folder = loop.stores.work / name
    loop.origin.checkout(folder, plan.commit, [ref.batch for ref in plan.batches])
    write_run(folder / "run.yaml", plan)
    write_champion(folder / "champion.yaml", loop.champion())
    tracking.project_run(
        folder, "measure", env_manager=loop.params.train.env_manager, experiment=plan.model, run_name=name
    )
    evaluation = from_json(Evaluation, (folder / "build" / "evaluation.json").read_bytes())
    fitted = from_json(list[Fitted], (folder / "build" / "fitted.json").read_bytes())
    shutil.rmtree(folder, ignore_errors=True)
    return evaluation, fitted


def record(loop: Loop, plan: Plan, evaluation: Evaluation, fitted: Sequence[Fitted], lease: Lease) -> None:
    """Write the measurements and the fitted models of one run of the MLflow Project to the ledger."""
    keys = {ref.batch: batch_key(ref.batch, ref.revision) for ref in plan.batches}
    manifests = {batch.manifest.batch: batch.manifest for batch in loop.ledger.all(Batch, keys=keys.values())}
    rules, champion = rules_of(loop.params), loop.champion()
    leading = standing(loop.ledger, rules).leading
    measurements = [
        Measurement(
            batch=scored.batch,
            revision=manifests[scored.batch].revision,
            scores=scored.scores,
            champion=champion.run_id if champion else None,
            shadows={**plan.shadows, **scored.shadows},
            leader=leading,
            failed=evaluation.failed,
            decision=plan.decision,
            event_time=manifests[scored.batch].end,
        )
        for scored in record_of(evaluation, fitted, [ref.batch for ref in plan.batches])
    ]
    if plan.decision is None:
        measurements = [replace(each, leader=leader_after(loop.ledger, each, rules)) for each in measurements]
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
    batches = state.batches_in_force(loop.ledger.all(Batch))
    earlier = [batch for batch in batches if batch.manifest.start < manifest.start]
    shadows = {
        name: shadow.training
        for name, shadow in newest_shadows(loop.ledger, earlier).items()
        if shadow.training is not None
    }
    models: dict[str, TrainedModel] = {
        model.run_id: model for model in (*shadows.values(), *_in_production(loop))
    }
    return plan_batch(
        params=loop.params,
        commit=loop.commit,
        manifests=[batch.manifest for batch in batches],
        batch=manifest.batch,
        models=list(models.values()),
        shadows={name: training.run_id for name, training in shadows.items()},
        candidates=_candidates(loop, manifest),
    )


def _in_production(loop: Loop) -> Iterator[TrainedModel]:
    """Yield the champion, and the one before it while the champion is watched."""
    tenures = standing(loop.ledger, rules_of(loop.params))
    champion, former = loop.champion(), queries.served(loop.ledger).former
    if champion is not None:
        yield champion
        since = len(tenures.record) - tenures.tenures[-1].since
        if former is not None and since < loop.params.watch.batches:
            yield former


def _candidates(loop: Loop, manifest: Manifest) -> dict[str, int | None]:
    """Return the windows to fit through a batch: those without a model, unless a later batch was measured already."""
    measured = {batch for (batch,) in loop.ledger.columns(Measurement, "batch")}
    batches = [batch.manifest for batch in loop.ledger.all(Batch)]
    if any(other.start > manifest.start and other.batch in measured for other in batches):
        return {}
    return {
        name: window
        for name, window in loop.params.train.candidates.items()
        if _is_missing(loop, shadow_prefix(name, manifest.batch, manifest.revision))
    }


def _is_missing(loop: Loop, prefix: str) -> bool:
    attempts = loop.ledger.all(Shadow, prefix=prefix)
    return len(attempts) < ATTEMPTS and all(each.training is None for each in attempts)
