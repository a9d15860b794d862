"""The last task of a run: the verdict into the ledger, and the stage transitions that follow from it."""

import logging
from collections.abc import Sequence
from typing import Any

from trimtab.contracts import Refit, Stage, Verdict, VerdictKind, from_json, sha256
from trimtab.ledger import Snapshot, queries, state
from trimtab.ledger.facts import (
    Answer,
    Fact,
    Judgement,
    JudgementState,
    Order,
    Request,
    Transition,
    TransitionKind,
)
from trimtab.loop.arbitrate import run_end
from trimtab.loop.reconcile import repair
from trimtab.loop.retrain import Run, clean, opened, refit_key
from trimtab.registry import transitions

log = logging.getLogger(__name__)

PROMOTE = "promote"
"""A person's answer to ASK for a promotion."""


def conclude(run_key: str, holder: str, answer: str | None = None) -> dict[str, Any]:
    """Write the verdict to the ledger, make the stage transitions that follow from it, and give the lease back.

    Args:
        run_key: Of the run.
        holder: The Airflow run.
        answer: What a person answered to an ASK: `promote` or `keep`, with the name after a colon.
    """
    with opened(run_key, holder) as run:
        repair(run.loop)
        refit = from_json(Refit, (run.folder / "build" / "refit.json").read_bytes())
        outcome = _conclude(run, run.verdict(), refit, answer)
        clean(run)
    log.info("%s: %s", run_key, outcome)
    return outcome


def _conclude(run: Run, verdict: Verdict, refit: Refit, answer: str | None) -> dict[str, Any]:
    ledger = run.loop.ledger
    judged, refitted = run.version_of(run.judged_key), run.version_of(refit_key(run.judged_key))
    if judged is None:  # a dry run
        ledger.append(*_ends(run, verdict.reason), lease=run.lease)
        return {"version": None, "verdict": verdict.kind, "reason": verdict.reason}
    served = refitted.version if refitted else judged.version
    before = run.judgement()
    look_is_over = (
        before and before.state == "HOLD" and before.verdict and before.verdict.look >= verdict.look
    )
    if before is not None and (before.state not in state.OPEN_STATES or look_is_over):
        ledger.append(*_ends(run, before.reason), lease=run.lease)
        version = served if before.state == "PROMOTE" else judged.version
        return {"version": version, "verdict": before.state, "reason": before.reason}

    def decide(facts: Snapshot) -> tuple[JudgementState, str, Sequence[Transition]]:
        outcome, reason = _outcome(run, facts, verdict, refit, answer, served)
        steps = _transitions(run, outcome, reason, verdict, judged.version, served)
        judgement = Judgement(
            run_key=run.judged_key,
            version=judged.version,
            state=outcome,
            reason=reason,
            event_time=run.fact.plan.cutoff,
            verdict=verdict,
            evidence_sha256=sha256(verdict),
        )
        further = [_next_look(run, judged.version, verdict)] if outcome == "HOLD" else []
        facts.append(judgement, *steps, *further, *_ends(run, reason), lease=run.lease)
        return outcome, reason, steps

    outcome, reason, steps = ledger.decide(decide)
    for step in steps:
        transitions.finish(ledger, run.loop.registry, step, run.lease)
    for version in {judged.version, served}:
        run.loop.registry.set_tag(run.loop.model, version, "trimtab.verdict", reason)
    version = served if outcome == "PROMOTE" else judged.version
    return {"version": version, "verdict": outcome, "reason": reason}


def _ends(run: Run, reason: str) -> list[Fact]:
    """Return the facts that end a run: its end, and the final answer to its request."""
    answer = Answer(
        request=run.fact.request,
        action=run.fact.action,
        reason=run.fact.reason,
        holder=run.fact.holder,
        event_time=run.fact.event_time,
        run=run.key,
    )
    return [run_end(run.fact, "concluded", reason), answer]


def _outcome(
    run: Run, facts: Snapshot, verdict: Verdict, refit: Refit, answer: str | None, served: str
) -> tuple[JudgementState, str]:
    """Return what becomes of the judgement, and the sentence: the verdict's, and what came on top of it."""
    kind, reason = verdict.kind, verdict.reason
    champion = queries.champion(facts)
    if (champion.version if champion else None) != verdict.champion:
        return "ABANDONED", (
            f"ABANDONED: {verdict.champion_name} is no longer champion, against which it was judged: {reason}"
        )
    orders = state.orders_in_force(facts.all(Order))
    if kind in ("PROMOTE", "ASK") and orders.pinned is not None:
        return "ABANDONED", f"ABANDONED: the champion is pinned by {orders.pinned}: {reason}"
    if kind in ("PROMOTE", "ASK") and served in orders.blocked:
        return "ABANDONED", f"ABANDONED: version {served} is blocked by {orders.blocked[served]}: {reason}"
    if kind == "ASK":
        kind, reason = _answered(answer, reason)
    if kind == "PROMOTE" and refit.training is not None:
        if not refit.accepted:
            return "REJECT", f"REJECT: {refit.reason}. Before: {reason}"
        reason = f"{reason}; version {served} serves, {refit.reason}"
    return kind, reason


def _answered(answer: str | None, reason: str) -> tuple[VerdictKind, str]:
    choice, _, who = (answer or "keep:default, for nobody was asked").partition(":")
    kind: VerdictKind = "PROMOTE" if choice == PROMOTE else "REJECT"
    return kind, f"{kind} by {who}: {reason}"


def _transitions(
    run: Run, outcome: JudgementState, reason: str, verdict: Verdict, judged: str, served: str
) -> list[Transition]:
    moves: dict[str, tuple[Stage, TransitionKind]] = {
        "PROMOTE": ("Production", "promote"),
        "REJECT": ("Archived", "archive"),
        "ABANDONED": ("Archived", "archive"),
    }
    if outcome not in moves:
        return []
    (stage, kind), evidence = moves[outcome], sha256(verdict)
    version = served if outcome == "PROMOTE" else judged
    steps = [
        run.transition(version, stage, kind=kind, step=outcome.lower(), reason=reason, evidence=evidence)
    ]
    if outcome == "PROMOTE" and served != judged:
        why = f"version {served}, its refit, serves in its place"
        steps.append(
            run.transition(judged, "Archived", kind="archive", step="sibling", reason=why, evidence=evidence)
        )
    return steps


def _next_look(run: Run, version: str, verdict: Verdict) -> Request:
    looks, champion = run.loop.params.gate.looks, run.fact.plan.champion
    return Request(
        source="look",
        episode=f"{run.judged_key}:{verdict.look + 1}",
        reason=f"look {verdict.look + 1} of {looks} at version {version}",
        event_time=run.fact.plan.cutoff,
        champion=champion.version if champion else None,
        challenger=version,
    )
