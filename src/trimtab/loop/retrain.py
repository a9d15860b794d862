"""The tasks of one retraining, or of a later look at its challenger; each can be cleared and run again."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.contracts import ModelVersion, Plan, Refit, Stage, Training, Verdict, from_json, to_json
from trimtab.errors import CommandFailed, GateDead, Unfit
from trimtab.ledger.records import Transition, VersionRecord
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.registry import tracking, transitions

log = logging.getLogger(__name__)

RUN_KEY_TAG = "trimtab.run_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: the plan that the arbiter made, and the folder of its checkout."""

    loop: Loop
    key: str
    holder: str
    plan: Plan
    folder: Path

    @property
    def judged_key(self) -> str:
        """The key of the retraining whose challenger is judged: this one's, or at a later look the one that made it."""
        if self.plan.challenger is None:
            return self.key
        return self.loop.ledger.versions(self.plan.model)[self.plan.challenger.version].run_key

    def transition(
        self, version: str, to: Stage, *, step: str, reason: str, evidence: str | None = None
    ) -> Transition:
        """Name one stage transition of this run; its key makes it happen once."""
        champion = self.plan.champion
        return Transition(
            model=self.plan.model,
            key=f"{self.key}:{step}",
            version=version,
            to_stage=to,
            replaces=champion.version if champion and to == "Production" else None,
            actor=self.holder,
            reason=reason,
            evidence_sha256=evidence,
            event_time=self.plan.cutoff,
        )


def open_run(run_key: str, holder: str) -> Run:
    """Open the run that the arbiter started under a key, and prolong its lease.

    Raises:
        LeaseHeld: Another run holds the lease by now.
    """
    loop = open_loop()
    decision = next(record for record in loop.ledger.runs(loop.model) if record.run_key == run_key)
    if decision.plan is None:
        raise ValueError(f"The decision for {run_key} holds no plan")
    loop.ledger.hold(loop.lease, holder=holder, minutes=loop.params.trigger.lease_minutes)
    return Run(loop=loop, key=run_key, holder=holder, plan=decision.plan, folder=loop.stores.work / run_key)


def checkout(run_key: str, holder: str) -> dict[str, Any]:
    """Clone the origin at the planned commit, pull the planned batches, and write `run.yaml` and `champion.yaml`."""
    from trimtab.trigger.planning import write_champion, write_run

    run = open_run(run_key, holder)
    batches = [ref.batch for ref in (*run.plan.train, *run.plan.judge)]
    run.loop.origin.checkout(run.folder, run.plan.commit, batches)
    write_run(run.folder / "run.yaml", run.plan)
    write_champion(run.folder / "champion.yaml", run.plan.champion)
    return {"folder": str(run.folder), "commit": run.plan.commit, "batches": len(batches)}


def prepare(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `prepare` in the checkout."""
    return {"run_id": _project(open_run(run_key, holder), "prepare")}


def train(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `train`, register the model as a new version, and move it to Staging.

    Registered before (a cleared task), nothing is trained again. A later look registers nothing: with `gate.refit` it
    fits the recipe up to the batches that judge it, else it judges the version as it is.
    """
    run = open_run(run_key, holder)
    if run.plan.challenger is not None:
        return _prepare_look(run, run.plan.challenger)
    known = run.loop.ledger.version_of(run.plan.model, run_key)
    if known is None:
        _project(run, "train")
        training = _training(run)
        if run.plan.dry_run:
            return {"version": None, "run_id": training.run_id}
        known = _register(run, run_key, training)
    _tag_cause(run, known.training.run_id)
    _write_training(run, known.training)
    if known.version in run.loop.ledger.under_judgement(run.plan.model):
        _supersede(run, known.version)
        step = run.transition(known.version, "Staging", step="staging", reason="registered: under judgement")
        transitions.move(run.loop.ledger, run.loop.registry, step)
    return {"version": known.version, "run_id": known.training.run_id}


def evaluate(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `evaluate`: the gate judges challenger and champion on the same unseen batches."""
    run = open_run(run_key, holder)
    if not (run.folder / "build" / "training.json").exists():
        raise Unfit(f"{run.folder} holds no trained model", "Clear the run from `checkout` on")
    _judge(run)
    verdict = from_json(Verdict, (run.folder / "build" / "verdict.json").read_bytes())
    return {"kind": verdict.kind, "reason": verdict.reason}


def refit(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `refit`, and register what it made; nothing is moved yet."""
    run = open_run(run_key, holder)
    model, key = run.plan.model, refit_key(run.judged_key)
    known = run.loop.ledger.version_of(model, key)
    if known is None:
        if not (run.folder / "build" / "verdict.json").exists():
            raise Unfit(f"{run.folder} holds no verdict", "Clear the run from `checkout` on")
        _project(run, "refit")
        done = from_json(Refit, (run.folder / "build" / "refit.json").read_bytes())
        sibling = run.loop.ledger.version_of(model, run.judged_key)
        if done.training is None or not done.accepted or sibling is None:
            return {"version": None, "reason": done.reason}
        known = _register(run, key, done.training, refit_of=sibling.version)
        _tag_cause(run, known.training.run_id)
    elif not (run.folder / "build" / "refit.json").exists():  # the checkout was made anew
        reason = f"refitted through batch {known.training.batches[-1].batch} before this task was cleared"
        done = Refit(training=known.training, difference=None, accepted=True, reason=reason)
        (run.folder / "build" / "refit.json").write_text(to_json(done), encoding="utf-8")
    return {"version": known.version, "reason": f"refit of version {known.refit_of}"}


def refit_key(judged_key: str) -> str:
    """Return the run key under which the refit of a challenger is registered."""
    return f"{judged_key}:refit"


def _prepare_look(run: Run, challenger: ModelVersion) -> dict[str, Any]:
    if run.loop.params.gate.refit:
        if not (run.folder / "build" / "training.json").exists():
            _project(run, "train")
        return {"version": challenger.version, "run_id": _training(run).run_id}
    _write_training(run, run.loop.ledger.versions(run.plan.model)[challenger.version].training)
    return {"version": challenger.version, "run_id": challenger.run_id}


def _register(run: Run, run_key: str, training: Training, *, refit_of: str | None = None) -> VersionRecord:
    model, ledger, registry = run.plan.model, run.loop.ledger, run.loop.registry
    for orphan in registry.find_by_tag(model, RUN_KEY_TAG, run_key):
        registry.set_stage(model, orphan, "Archived", archive=False)
    tags = {RUN_KEY_TAG: run_key} | ({"trimtab.refit_of": refit_of} if refit_of else {})
    version = registry.register(model, training.run_id, training.source, tags)
    ledger.record_version(
        model,
        version=version,
        run_key=run_key,
        training=training,
        event_time=run.plan.cutoff,
        refit_of=refit_of,
    )
    return ledger.versions(model)[version]


def _judge(run: Run) -> None:
    try:
        _project(run, "evaluate")
    except CommandFailed as error:
        if GateDead.__name__ in error.output:
            text = f"the gate of run {run.key} judged its probes wrongly, and promotes nothing: see the log of evaluate"
            notify(run.loop, key=f"gate_dead:{run.key}", kind="gate_dead", text=text)
        raise


def _tag_cause(run: Run, run_id: str) -> None:
    """Say on the MLflow run who asked for it, with the labels and links of the alert that did."""
    decision = next(one for one in run.loop.ledger.runs(run.plan.model) if one.run_key == run.key)
    asked = next(
        one.request for one in run.loop.ledger.requests(run.plan.model) if one.id == decision.request_id
    )
    tracking.tag(
        run_id,
        {"trimtab.source": asked.source, "trimtab.asked": asked.reason}
        | {f"trimtab.alert.{name}": label for name, label in asked.labels.items()}
        | {f"trimtab.link.{name}": link for name, link in asked.links.items()},
    )


def _training(run: Run) -> Training:
    return from_json(Training, (run.folder / "build" / "training.json").read_bytes())


def _write_training(run: Run, training: Training) -> None:
    build = run.folder / "build"
    build.mkdir(parents=True, exist_ok=True)
    (build / "training.json").write_text(to_json(training), encoding="utf-8")


def _supersede(run: Run, version: str) -> None:
    for other in run.loop.registry.in_stage(run.plan.model, "Staging"):
        if other != version:
            reason = f"superseded by version {version}"
            step = run.transition(other, "Archived", step=f"supersede:{other}", reason=reason)
            transitions.close(run.loop.ledger, run.loop.registry, step, "SUPERSEDED")


def _project(run: Run, entry_point: str) -> str:
    return tracking.project_run(
        run.folder,
        entry_point,
        env_manager=run.loop.params.train.env_manager,
        experiment=run.plan.model,
        run_name=f"{run.key}-{entry_point}",
    )


def clean(run: Run) -> None:
    """Give the lease back, and drop the checkout's data."""
    run.loop.ledger.release(run.loop.lease, holder=run.holder)
    shutil.rmtree(run.folder / "data", ignore_errors=True)
