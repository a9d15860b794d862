"""The last tasks of a run: an ASK to a person, the verdict into the ledger, and the stage transitions that follow."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from trimtab.contracts import Refit, Stage, Verdict, from_json, sha256
from trimtab.ledger import (
    Answer,
    Fact,
    Judgement,
    JudgementState,
    Order,
    Request,
    Snapshot,
    Transition,
    TransitionKind,
    queries,
    state,
)
from trimtab.loop.arbitrate import run_end
from trimtab.loop.notify import notify
from trimtab.loop.reconcile import repair
from trimtab.loop.retrain import Run, clean, opened, refit_key
from trimtab.registry import transitions

log = logging.getLogger(__name__)


def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    """Return the question that the verdict asks, or None when it asks none.

    The judgement stands at ASK from now on, and the lease is given back: a person may take hours. Meanwhile other requests
    wait, but for a forced one, which supersedes the challenger.

    Returns:
        `subject`, `body` (Markdown), `minutes` until the `default` counts as the answer.
    """
    with opened(run_key, holder) as run:
        verdict, judged, before = run.verdict(), run.version_of(run.judged_key), run.judgement()
        if verdict.kind != "ASK" or judged is None or before is None or before.state not in state.OPEN_STATES:
            return None
        return _ask(run, verdict, judged.version, before)


def _ask(run: Run, verdict: Verdict, version: str, before: Judgement) -> dict[str, Any]:
    ledger, gate = run.loop.ledger, run.loop.params.gate
    if before.state != "ASK":
        asked = replace(
            before,
            state="ASK",
            reason=verdict.reason,
            verdict=verdict,
            evidence_sha256=sha256(verdict),
            key=uuid4().hex,
        )
        ledger.append(asked, lease=run.lease)
    subject = f"Promote version {version} of {run.loop.model} over {verdict.champion_name}?"
    text = f"{subject} {verdict.reason}. Answer on Airflow's page within {gate.ask_minutes:g} minutes"
    notify(run.loop, key=f"ask:{run.fact.key}", kind="ask", text=text)
    ledger.leases.release(run.lease)
    return {
        "subject": subject,
        "body": _body(verdict, gate.ask_minutes, gate.ask_default),
        "minutes": gate.ask_minutes,
        "default": gate.ask_default,
    }


def _body(verdict: Verdict, minutes: float, default: str) -> str:
    checks = [
        f"| {check.name} | {'holds' if check.passed else 'FAILS'} | {check.sentence} |"
        for check in verdict.checks
    ]
    scores = [
        f"| {new.batch} | {new.labelled} | {new.loss:.4f} | {old.loss:.4f} |"
        for new, old in zip(verdict.challenger_scores, verdict.champion_scores, strict=True)
    ]
    return "\n".join(
        [
            verdict.reason,
            "",
            f"After {minutes:g} minutes without an answer: {default}. The page `evidence.html` is in the MLflow run of "
            "`evaluate`.",
            "",
            "| batch | labels | challenger | champion |",
            "|---|---|---|---|",
            *scores,
            "",
            "| check | | |",
            "|---|---|---|",
            *checks,
        ]
    )


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
    return [
        run_end(run.fact, "concluded", reason),
        Answer(
            request=run.fact.request,
            action=run.fact.action,
            reason=run.fact.reason,
            holder=run.fact.holder,
            event_time=run.fact.event_time,
            run=run.fact.key,
        ),
    ]


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
        choice, _, who = (answer or "keep:default, for nobody was asked").partition(":")
        kind = "PROMOTE" if choice == "promote" else "REJECT"
        reason = f"{kind} by {who}: {reason}"
    if kind == "PROMOTE" and refit.training is not None:
        if not refit.accepted:
            return "REJECT", f"REJECT: {refit.reason}. Before: {reason}"
        reason = f"{reason}; version {served} serves, {refit.reason}"
    return kind, reason


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
    steps = [
        run.transition(
            served if outcome == "PROMOTE" else judged,
            stage,
            kind=kind,
            step=outcome.lower(),
            reason=reason,
            evidence=evidence,
        )
    ]
    if outcome == "PROMOTE" and served != judged:
        why = f"version {served}, its refit, serves in its place"
        steps.append(
            run.transition(judged, "Archived", kind="archive", step="sibling", reason=why, evidence=evidence)
        )
    return steps


def _next_look(run: Run, version: str, verdict: Verdict) -> Request:
    champion = run.fact.plan.champion
    return Request(
        source="look",
        episode=f"{run.judged_key}:{verdict.look + 1}",
        reason=f"look {verdict.look + 1} of {run.loop.params.gate.looks} at version {version}",
        event_time=run.fact.plan.cutoff,
        champion=champion.version if champion else None,
        challenger=version,
    )
