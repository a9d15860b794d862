"""The tasks of one retraining, or of a later look at its challenger; each can be retried.

A run whose task has failed for good is over: `close` gives its lease back, and its request waits again.
"""

import logging
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab import files
from trimtab.contracts import ModelVersion, Refit, Stage, Training, Verdict, from_json, to_json
from trimtab.errors import CommandFailed, RunOver, TrimtabError, Unfit
from trimtab.evaluate.probes import DEAD_GATE_FILE
from trimtab.ledger import Judgement, Lease, Request, RunEnd, Transition, Version, facts, state
from trimtab.loop.arbitrate import judged_key, run_end
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.registry import tracking, transitions

log = logging.getLogger(__name__)

RUN_KEY_TAG = "trimtab.run_key"
_FAILURE_FILE = "failure.txt"
"""Left in the folder of a run by the task that failed last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as a task works on it: the fact that started it, its lease, its folder; `loop` has the commit's parameters.

    `judged_key` is the key of the run whose challenger is judged: this one's, or at a later look the one that trained it.
    """

    loop: Loop
    fact: facts.Run
    lease: Lease
    folder: Path
    judged_key: str

    def version_of(self, run_key: str) -> Version | None:
        """Return the version that was registered under a run key."""
        return self.loop.ledger.last(Version, run_key=run_key)

    def judgement(self) -> Judgement | None:
        """Return the newest state of the judgement that this run is about."""
        return self.loop.ledger.last(Judgement, run_key=self.judged_key)

    def verdict(self) -> Verdict:
        """Read what the gate said."""
        return from_json(Verdict, (self.folder / "build" / "verdict.json").read_bytes())

    def transition(
        self,
        version: str,
        to: Stage,
        *,
        kind: facts.TransitionKind,
        step: str,
        reason: str,
        evidence: str | None = None,
    ) -> Transition:
        """Return a stage transition of this run; its key makes it happen once."""
        champion = self.fact.plan.champion
        return Transition(
            key=f"{self.fact.key}:{step}",
            kind=kind,
            version=version,
            to_stage=to,
            replaces=champion.version if champion and to == "Production" else None,
            actor=self.fact.holder,
            reason=reason,
            evidence_sha256=evidence,
            event_time=self.fact.plan.cutoff,
        )


@contextmanager
def opened(run_key: str, holder: str) -> Iterator[Run]:
    """Open a run that the arbiter started, and keep its lease alive while the task works.

    Raises:
        LeaseHeld: Another run holds the lease.
        RunOver: The run has failed or was lost.
    """
    loop = open_loop()
    fact = loop.ledger.require(facts.Run, run_key)
    end = loop.ledger.get(RunEnd, run_key)
    if end is not None and end.outcome != "concluded":
        raise RunOver(run_key, "failed" if end.outcome == "failed" else "been given up", end.reason)
    loop = loop.at(fact.plan.commit)
    folder = loop.stores.work / run_key
    lease = loop.take_lease(holder)  # not given back at the end: the next task of the run takes it again
    with loop.ledger.leases.kept_alive(lease):
        try:
            yield Run(
                loop=loop, fact=fact, lease=lease, folder=folder, judged_key=judged_key(loop.ledger, fact)
            )
        except Exception as error:
            files.write(folder / _FAILURE_FILE, _last_line(error))
            raise


def close(holder: str) -> str | None:
    """End the run of an Airflow run that came to no conclusion; return the reason, or None when there was nothing to do.

    It runs last in each Airflow run, whatever became of the tasks before.
    """
    loop = open_loop()
    started = loop.ledger.all(facts.Run, holder=holder)
    fact = next(reversed(state.unfinished(started, loop.ledger.keys(RunEnd))), None)
    if fact is None:
        return None
    failure = loop.stores.work / fact.key / _FAILURE_FILE
    unknown = f"a task ended without a word; see the log of the Airflow run {holder}"
    reason = failure.read_text(encoding="utf-8") if failure.is_file() else unknown
    loop.ledger.append(run_end(fact, "failed", reason))
    lease = loop.ledger.leases.current(loop.lease_name)
    if lease is not None and lease.holder == holder:
        loop.ledger.leases.release(lease)
    log.error("The run %s has failed: %s. Its request waits again", fact.key, reason)
    return reason


def _last_line(error: Exception) -> str:
    """Return the last line of an error: for a command that failed, of what it printed."""
    text = error.output if isinstance(error, CommandFailed) else str(error)
    line = next(reversed(text.strip().splitlines()), "")
    name = "" if isinstance(error, TrimtabError) else f"{type(error).__name__}: "
    return textwrap.shorten(f"{name}{line}", 1000)


def checkout(run_key: str, holder: str) -> dict[str, Any]:
    """Clone the origin at the planned commit, pull the planned batches, and write `run.yaml` and `champion.yaml`."""
    from trimtab.trigger.planning import write_champion, write_run

    with opened(run_key, holder) as run:
        batches = [ref.batch for ref in (*run.fact.plan.train, *run.fact.plan.judge)]
        run.loop.origin.checkout(run.folder, run.fact.plan.commit, batches)
        write_run(run.folder / "run.yaml", run.fact.plan)
        write_champion(run.folder / "champion.yaml", run.fact.plan.champion)
        return {"folder": str(run.folder), "commit": run.fact.plan.commit, "batches": len(batches)}


def prepare(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `prepare` in the checkout."""
    with opened(run_key, holder) as run:
        return {"run_id": _project(run, "prepare")}


def train(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `train`, register the model as a new version, and move it to Staging.

    Registered before (a cleared task), nothing is trained again. A later look registers nothing: with `gate.refit` it
    fits the recipe up to the batches that judge it, else it judges the version as it is.
    """
    with opened(run_key, holder) as run:
        if run.fact.plan.challenger is not None:
            return _prepare_look(run, run.fact.plan.challenger)
        version = run.version_of(run_key)
        if version is None:
            _project(run, "train")
            training = _training(run)
            if run.fact.plan.dry_run:
                return {"version": None, "run_id": training.run_id}
            version = _register(run, run_key, training)
        _tag_cause(run, version.training.run_id)
        _write_training(run, version.training)
        _stage(run, version.version)
        return {"version": version.version, "run_id": version.training.run_id}


def evaluate(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `evaluate`: the gate judges challenger and champion on the same unseen batches."""
    with opened(run_key, holder) as run:
        if not (run.folder / "build" / "training.json").exists():
            raise Unfit(f"{run.folder} holds no trained model", "Clear the run from `checkout` on")
        _judge(run)
        verdict = run.verdict()
        return {"kind": verdict.kind, "reason": verdict.reason}


def refit(run_key: str, holder: str) -> dict[str, Any]:
    """Run the MLflow Project's `refit`, and register what it made; nothing is moved yet."""
    with opened(run_key, holder) as run:
        key = refit_key(run.judged_key)
        version = run.version_of(key)
        if version is None:
            if not (run.folder / "build" / "verdict.json").exists():
                raise Unfit(f"{run.folder} holds no verdict", "Clear the run from `checkout` on")
            _project(run, "refit")
            done = from_json(Refit, (run.folder / "build" / "refit.json").read_bytes())
            judged = run.version_of(run.judged_key)
            if done.training is None or not done.accepted or judged is None:
                return {"version": None, "reason": done.reason}
            version = _register(run, key, done.training, refit_of=judged.version)
            _tag_cause(run, version.training.run_id)
        elif not (run.folder / "build" / "refit.json").exists():  # the checkout was made again
            through = version.training.batches[-1].batch
            reason = f"refitted through batch {through} before this task was cleared"
            done = Refit(training=version.training, difference=None, accepted=True, reason=reason)
            files.write(run.folder / "build" / "refit.json", to_json(done))
        return {"version": version.version, "reason": f"refit of version {version.refit_of}"}


def refit_key(judged_key: str) -> str:
    """Return the run key under which the refit of a challenger is registered."""
    return f"{judged_key}:refit"


def _prepare_look(run: Run, challenger: ModelVersion) -> dict[str, Any]:
    if run.loop.params.gate.refit:
        if not (run.folder / "build" / "training.json").exists():
            _project(run, "train")
        return {"version": challenger.version, "run_id": _training(run).run_id}
    _write_training(run, run.loop.ledger.require(Version, challenger.version).training)
    return {"version": challenger.version, "run_id": challenger.run_id}


def _register(run: Run, run_key: str, training: Training, *, refit_of: str | None = None) -> Version:
    """Register a trained model; what an earlier try registered without the ledger's knowledge is archived."""
    model, ledger, registry = run.fact.plan.model, run.loop.ledger, run.loop.registry
    ledger.leases.check(run.lease)
    for orphan in registry.find_by_tag(model, RUN_KEY_TAG, run_key):
        registry.set_stage(model, orphan, "Archived", archive=False)
    tags = {RUN_KEY_TAG: run_key} | ({"trimtab.refit_of": refit_of} if refit_of else {})
    name = registry.register(model, training.run_id, training.source, tags)
    version = Version(version=name, run_key=run_key, training=training, refit_of=refit_of)
    judgement = Judgement(
        run_key=run_key,
        version=name,
        state="OPEN",
        reason="registered, not judged yet",
        event_time=run.fact.plan.cutoff,
    )
    # A refit is judged by the version that it replaces.
    ledger.append(version, *([] if refit_of else [judgement]), lease=run.lease)
    return version


def _stage(run: Run, version: str) -> None:
    """Move a version under judgement to Staging; the one that was there is superseded."""
    loop = run.loop
    if version not in state.under_judgement(loop.ledger.all(Judgement)):
        return
    for other in loop.registry.in_stage(loop.model, "Staging"):
        if other != version:
            reason = f"superseded by version {version}"
            archive = run.transition(
                other, "Archived", kind="archive", step=f"supersede:{other}", reason=reason
            )
            transitions.close(loop.ledger, loop.registry, archive, "SUPERSEDED", run.lease)
    stage = run.transition(
        version, "Staging", kind="stage", step="staging", reason="registered: under judgement"
    )
    transitions.move(loop.ledger, loop.ledger, loop.registry, stage, run.lease)


def _judge(run: Run) -> None:
    dead = run.folder / "build" / DEAD_GATE_FILE
    dead.unlink(missing_ok=True)
    try:
        _project(run, "evaluate")
    except CommandFailed:
        if dead.exists():
            text = f"the gate of run {run.fact.key} judged its probes wrongly, and promotes nothing: see the log of evaluate"
            notify(run.loop, key=f"gate_dead:{run.fact.key}", kind="gate_dead", text=text)
        raise


def _tag_cause(run: Run, run_id: str) -> None:
    """Tag an MLflow run with who asked for it, and with the labels and links of the alert that did."""
    request = run.loop.ledger.require(Request, run.fact.request)
    tracking.tag(
        run_id,
        {"trimtab.source": request.source, "trimtab.asked": request.reason}
        | {f"trimtab.alert.{name}": label for name, label in request.labels.items()}
        | {f"trimtab.link.{name}": link for name, link in request.links.items()},
    )


def _training(run: Run) -> Training:
    return from_json(Training, (run.folder / "build" / "training.json").read_bytes())


def _write_training(run: Run, training: Training) -> None:
    files.write(run.folder / "build" / "training.json", to_json(training))


def _project(run: Run, entry_point: str) -> str:
    return tracking.project_run(
        run.folder,
        entry_point,
        env_manager=run.loop.params.train.env_manager,
        experiment=run.fact.plan.model,
        run_name=f"{run.fact.key}-{entry_point}",
    )


def clean(run: Run) -> None:
    """Give the lease back, and drop the checkout's data."""
    run.loop.ledger.leases.release(run.lease)
    shutil.rmtree(run.folder / "data", ignore_errors=True)
