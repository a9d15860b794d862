"""The tasks of one retraining. Each is a function of its run key, and can be cleared and run again."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.contracts import Plan, Stage, Training, Verdict, from_json, sha256, to_json
from trimtab.errors import Unfit
from trimtab.registry import tracking, transitions
from trimtab.registry.records import Transition
from trimtab.steps.loop import Loop, open_loop
from trimtab.steps.reconcile import mend

log = logging.getLogger(__name__)

RUN_KEY_TAG = "trimtab.run_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One retraining: the plan that the arbiter made, and the folder of its checkout."""

    loop: Loop
    key: str
    holder: str
    plan: Plan
    folder: Path

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


def _open(run_key: str, holder: str) -> Run:
    loop = open_loop()
    decision = next(record for record in loop.ledger.retrainings(loop.model) if record.run_key == run_key)
    if decision.plan is None:
        raise ValueError(f"The decision for {run_key} holds no plan")
    loop.ledger.hold(loop.lease, holder=holder, minutes=loop.params.trigger.lease_minutes)
    return Run(loop=loop, key=run_key, holder=holder, plan=decision.plan, folder=loop.stores.work / run_key)


def checkout(run_key: str, holder: str) -> dict[str, Any]:
    """Clone the origin at the planned commit, pull the planned batches, and write `run.yaml` and `champion.yaml`."""
    from trimtab.trigger.planning import write_champion, write_run

    run = _open(run_key, holder)
    batches = [ref.batch for ref in (*run.plan.train, *run.plan.judge)]
    run.loop.origin.checkout(run.folder, run.plan.commit, batches)
    write_run(run.folder / "run.yaml", run.plan)
    write_champion(run.folder / "champion.yaml", run.plan.champion)
    return {"folder": str(run.folder), "commit": run.plan.commit, "batches": len(batches)}


def prepare(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `prepare` in the checkout."""
    return {"run_id": _project(_open(run_key, holder), "prepare")}


def train(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `train`, register the model as a new version, and move it to Staging.

    Registered before (a cleared task), nothing is trained again.
    """
    run = _open(run_key, holder)
    model, ledger, registry = run.plan.model, run.loop.ledger, run.loop.registry
    known = ledger.version_of(model, run_key)
    if known is None:
        _project(run, "train")
        training = from_json(Training, (run.folder / "build" / "training.json").read_bytes())
        if run.plan.dry_run:
            return {"version": None, "run_id": training.run_id}
        for orphan in registry.find_by_tag(model, RUN_KEY_TAG, run_key):
            registry.set_stage(model, orphan, "Archived", archive=False)
        version = registry.register(model, training.run_id, training.source, {RUN_KEY_TAG: run_key})
        ledger.record_version(
            model, version=version, run_key=run_key, training=training, event_time=run.plan.cutoff
        )
        known = ledger.versions(model)[version]
    build = run.folder / "build"
    build.mkdir(parents=True, exist_ok=True)
    (build / "training.json").write_text(to_json(known.training), encoding="utf-8")
    if known.version in ledger.under_judgement(model):
        _supersede(run, known.version)
        step = run.transition(known.version, "Staging", step="staging", reason="registered: under judgement")
        transitions.move(ledger, registry, step)
    return {"version": known.version, "run_id": known.training.run_id}


def evaluate(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `evaluate`: the gate judges challenger and champion on the same unseen batches."""
    run = _open(run_key, holder)
    if not (run.folder / "build" / "training.json").exists():
        raise Unfit(f"{run.folder} holds no trained model", "Clear the run from `checkout` on")
    _project(run, "evaluate")
    verdict = from_json(Verdict, (run.folder / "build" / "verdict.json").read_bytes())
    return {"kind": verdict.kind, "reason": verdict.reason}


def conclude(run_key: str, holder: str) -> dict[str, Any]:
    """Write the verdict to the ledger, make the stage transition that follows from it, and give the lease back."""
    run = _open(run_key, holder)
    mend(run.loop)
    verdict = from_json(Verdict, (run.folder / "build" / "verdict.json").read_bytes())
    version = run.loop.ledger.version_of(run.plan.model, run_key)
    outcome = _conclude(run, verdict, version.version if version else None)
    run.loop.ledger.release(run.loop.lease, holder=holder)
    shutil.rmtree(run.folder / "data", ignore_errors=True)
    log.info("%s: %s", run_key, outcome)
    return outcome


def _conclude(run: Run, verdict: Verdict, version: str | None) -> dict[str, Any]:
    model, ledger = run.plan.model, run.loop.ledger
    state, reason = verdict.kind, verdict.reason
    champion = run.loop.champion()
    if (champion.version if champion else None) != (run.plan.champion.version if run.plan.champion else None):
        judged = run.plan.champion.version if run.plan.champion else "the baseline"
        state, reason = (
            "HOLD",
            f"the champion changed while version {version} was judged against {judged}: {reason}",
        )
    before = ledger.judgement_of(model, run.key)
    outcome = {"version": version, "verdict": state, "reason": reason}
    if before is not None and before.state != "OPEN":
        return {**outcome, "verdict": before.state, "reason": before.reason}
    steps: dict[str, Stage] = {"PROMOTE": "Production", "REJECT": "Archived"}
    transition = None
    with ledger.write():
        ledger.record_judgement(
            model,
            run_key=run.key,
            version=version,
            state=state,
            reason=reason,
            event_time=run.plan.cutoff,
            verdict=verdict,
        )
        if version is not None and state in steps:
            transition = run.transition(
                version, steps[state], step=state.lower(), reason=reason, evidence=sha256(verdict)
            )
            ledger.intend(transition)
    if transition is not None:
        transitions.finish(ledger, run.loop.registry, transition)
    if version is not None:
        run.loop.registry.set_tag(model, version, "trimtab.verdict", f"{state}: {reason}")
    return outcome


def _supersede(run: Run, version: str) -> None:
    model, ledger, registry = run.plan.model, run.loop.ledger, run.loop.registry
    for other in registry.in_stage(model, "Staging"):
        if other == version:
            continue
        reason = f"superseded by version {version}"
        step = run.transition(other, "Archived", step=f"supersede:{other}", reason=reason)
        with ledger.write():
            record = ledger.versions(model).get(other)
            if record is not None:
                ledger.record_judgement(
                    model,
                    run_key=record.run_key,
                    version=other,
                    state="SUPERSEDED",
                    reason=reason,
                    event_time=run.plan.cutoff,
                )
            ledger.intend(step)
        transitions.finish(ledger, registry, step)


def _project(run: Run, entry_point: str) -> str:
    return tracking.project_run(
        run.folder,
        entry_point,
        env_manager=run.loop.params.train.env_manager,
        experiment=run.plan.model,
        run_name=f"{run.key}-{entry_point}",
    )
