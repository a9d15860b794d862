"""The last task of a run: the verdict into the ledger, and the stage transitions that follow from it."""

import logging
from typing import Any

from trimtab.contracts import Refit, Request, Stage, Verdict, VerdictKind, from_json, sha256
from trimtab.ledger.records import OPEN_STATES, JudgementState, Transition
from trimtab.loop.reconcile import mend
from trimtab.loop.retrain import Run, clean, open_run, refit_key
from trimtab.registry import transitions

log = logging.getLogger(__name__)

PROMOTE = "promote"
"""What a person answers to ASK, when it is to be promoted."""


def conclude(run_key: str, holder: str, answer: str | None = None) -> dict[str, Any]:
    """Write the verdict to the ledger, make the stage transitions that follow from it, and give the lease back.

    Args:
        run_key: Of the run.
        holder: The Airflow run.
        answer: What a person answered to an ASK: `promote` or `keep`, with the name after a colon.
    """
    run = open_run(run_key, holder)
    mend(run.loop)
    verdict = from_json(Verdict, (run.folder / "build" / "verdict.json").read_bytes())
    refit = from_json(Refit, (run.folder / "build" / "refit.json").read_bytes())
    outcome = _conclude(run, verdict, refit, answer)
    clean(run)
    log.info("%s: %s", run_key, outcome)
    return outcome


def _conclude(run: Run, verdict: Verdict, refit: Refit, answer: str | None) -> dict[str, Any]:
    model, ledger, registry = run.plan.model, run.loop.ledger, run.loop.registry
    judged, refitted = (ledger.version_of(model, key) for key in (run.judged_key, refit_key(run.judged_key)))
    if judged is None:  # a dry run
        return {"version": None, "verdict": verdict.kind, "reason": verdict.reason}
    served = refitted.version if refitted else judged.version
    before = ledger.judgement_of(model, run.judged_key)
    if before is not None and (
        before.state not in OPEN_STATES or (before.state == "HOLD" and _looked(before.verdict, verdict))
    ):
        version = served if before.state == "PROMOTE" else judged.version
        return {"version": version, "verdict": before.state, "reason": before.reason}
    state, reason = _state(run, verdict, refit, answer, served)
    with ledger.write():
        ledger.record_judgement(
            model,
            run_key=run.judged_key,
            version=judged.version,
            state=state,
            reason=reason,
            event_time=run.plan.cutoff,
            verdict=verdict,
        )
        steps = _transitions(run, state, reason, verdict, judged.version, served)
        for step in steps:
            ledger.intend(step)
        if state == "HOLD":
            ledger.add_request(_next_look(run, judged.version, verdict))
    for step in steps:
        transitions.finish(ledger, registry, step)
    for version in {judged.version, served}:
        registry.set_tag(model, version, "trimtab.verdict", reason)
    return {"version": served if state == "PROMOTE" else judged.version, "verdict": state, "reason": reason}


def _looked(before: Verdict | None, verdict: Verdict) -> bool:
    return before is not None and before.look >= verdict.look


def _state(
    run: Run, verdict: Verdict, refit: Refit, answer: str | None, served: str
) -> tuple[JudgementState, str]:
    """Return what becomes of the judgement, and the sentence: the verdict's, and what came on top of it."""
    kind, reason = verdict.kind, verdict.reason
    champion, judged = run.loop.champion(), run.plan.champion
    if (champion.version if champion else None) != (judged.version if judged else None):
        was = f"version {judged.version}" if judged else "the baseline"
        return "ABANDONED", f"ABANDONED: {was} is no longer champion, against which it was judged: {reason}"
    standing = run.loop.ledger.standing(run.plan.model)
    if kind in ("PROMOTE", "ASK") and standing.pinned is not None:
        return "ABANDONED", f"ABANDONED: the champion is pinned by {standing.pinned}: {reason}"
    if kind in ("PROMOTE", "ASK") and served in standing.blocked:
        return "ABANDONED", f"ABANDONED: version {served} is blocked by {standing.blocked[served]}: {reason}"
    if kind == "ASK":
        kind, reason = _answered(answer, reason)
    if kind == "PROMOTE" and refit.training is not None:
        if not refit.accepted:
            return "REJECT", f"REJECT: {refit.reason}. Before: {reason}"
        reason = f"{reason}; version {served} serves, {refit.reason}"
    return kind, reason


def _answered(answer: str | None, reason: str) -> tuple[VerdictKind, str]:
    choice, _, who = (answer or "keep:default, for nobody was asked").partition(":")
    if choice == PROMOTE:
        return "PROMOTE", f"PROMOTE by {who}: {reason}"
    return "REJECT", f"REJECT by {who}: {reason}"


def _transitions(
    run: Run, state: JudgementState, reason: str, verdict: Verdict, judged: str, served: str
) -> list[Transition]:
    evidence = sha256(verdict)
    ways: dict[str, Stage] = {"PROMOTE": "Production", "REJECT": "Archived", "ABANDONED": "Archived"}
    if state not in ways:
        return []
    version = served if state == "PROMOTE" else judged
    steps = [run.transition(version, ways[state], step=state.lower(), reason=reason, evidence=evidence)]
    if state == "PROMOTE" and served != judged:
        why = f"version {served}, its refit, serves in its stead"
        steps.append(run.transition(judged, "Archived", step="sibling", reason=why, evidence=evidence))
    return steps


def _next_look(run: Run, version: str, verdict: Verdict) -> Request:
    looks, champion = run.loop.params.gate.looks, run.plan.champion
    return Request(
        model=run.plan.model,
        source="look",
        episode=f"{run.judged_key}:{verdict.look + 1}",
        reason=f"look {verdict.look + 1} of {looks} at version {version}",
        event_time=run.plan.cutoff,
        champion=champion.version if champion else None,
        challenger=version,
    )
