"""The tasks of one run of `retrain_model`: fit what is missing, ask a person, deploy; each can be retried.

A run whose task has failed for good is over: `close` gives its lease back, and its request waits again.
"""

import logging
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab import files
from trimtab.contracts import Evidence, sha256
from trimtab.errors import CommandFailed, RunOver, TrimtabError
from trimtab.ledger import (
    Answer,
    Fact,
    Lease,
    Order,
    Question,
    Request,
    RunEnd,
    Shadow,
    Snapshot,
    Transition,
    facts,
    queries,
    state,
)
from trimtab.loop.arbitrate import decide, run_end
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.measure import carry_out
from trimtab.loop.notify import notify
from trimtab.loop.orders import WATCH_RULE, facts_of_rollback
from trimtab.loop.reconcile import repair
from trimtab.loop.stage import register
from trimtab.registry import tracking, transitions
from trimtab.trigger.policy import PolicyDecision
from trimtab.trigger.standing import standing

log = logging.getLogger(__name__)

_FAILURES = "failures"
"""Folder of the last words of the runs whose task failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as a task works on it: its fact, its request, its lease; `loop` has the parameters of its commit."""

    loop: Loop
    fact: facts.Run
    request: Request
    lease: Lease

    def decision(self, snapshot: Snapshot | None = None) -> PolicyDecision:
        """Return what the policy says by now, or by a snapshot."""
        now = standing(snapshot or self.loop.ledger, self.loop.params)
        return decide(self.loop, now, self.request)

    def shadow(self, evidence: Evidence) -> Shadow:
        """Return the model that is to be deployed."""
        return next(
            each
            for each in reversed(self.loop.ledger.all(Shadow, candidate=evidence.leader))
            if each.training is not None and each.training.run_id == evidence.target
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
    loop = loop.at(fact.commit)
    lease = loop.take_lease(holder)  # not given back at the end: the next task of the run takes it again
    with loop.ledger.leases.kept_alive(lease):
        try:
            yield Run(loop=loop, fact=fact, request=loop.ledger.require(Request, fact.request), lease=lease)
        except Exception as error:
            files.write(_failure(loop, run_key), _last_line(error))
            raise
        finally:
            if end is not None:  # a cleared task: no later one gives the lease back
                loop.ledger.leases.release(lease)


def close(holder: str) -> str | None:
    """End the run of an Airflow run that came to no conclusion; return the reason, or None when there was nothing to do.

    It runs last in each Airflow run, whatever became of the tasks before, and gives the lease back.
    """
    loop = open_loop()
    started = loop.ledger.all(facts.Run, holder=holder)
    fact = next(reversed(state.unfinished(started, loop.ledger.keys(RunEnd))), None)
    reason = None if fact is None else _fail(loop, fact)
    lease = loop.ledger.leases.current(loop.lease_name)
    if lease is not None and lease.holder == holder:
        loop.ledger.leases.release(lease)
    return reason


def _fail(loop: Loop, fact: facts.Run) -> str:
    failure = _failure(loop, fact.key)
    unknown = f"a task ended without a word; see the log of the Airflow run {fact.holder}"
    reason = failure.read_text(encoding="utf-8") if failure.is_file() else unknown
    loop.ledger.append(run_end(fact, "failed", reason))
    log.error("The run %s has failed: %s. Its request waits again", fact.key, reason)
    return reason


def _failure(loop: Loop, run_key: str) -> Path:
    return loop.stores.work / _FAILURES / f"{run_key}.txt"


def _last_line(error: Exception) -> str:
    """Return the last line of an error: for a command that failed, of what it printed."""
    text = error.output if isinstance(error, CommandFailed) else str(error)
    line = next(reversed(text.strip().splitlines()), "")
    name = "" if isinstance(error, TrimtabError) else f"{type(error).__name__}: "
    return textwrap.shorten(f"{name}{line}", 1000)


def fit(run_key: str, holder: str) -> dict[str, Any]:
    """Fit the candidate that a person chose through each of the newest batches, and score it there; if none, do nothing."""
    with opened(run_key, holder) as run:
        plan = run.fact.plan
        if plan is None or run.loop.ledger.all(facts.Measurement, decision=run_key):
            return {"fitted": 0}
        return carry_out(run.loop, plan, run_key, run.lease)


def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    """Return the question to a person, or None if there is no question.

    The lease is given back: a person may take hours. Meanwhile other requests are answered.

    Returns:
        `subject`, `body` (Markdown), `minutes` until the `default` counts as the answer.
    """
    with opened(run_key, holder) as run:
        if run.loop.ledger.get(Answer, run.fact.request) is not None:  # a cleared task
            return None
        decision, gate = run.decision(), run.loop.params.gate
        needs_approval = decision.action == "DEPLOY" and gate.ask == "promotion" and not run.request.dry_run
        if decision.action != "ASK" and not needs_approval:
            return None
        champion = queries.served(run.loop.ledger).champion
        now = f"version {champion.version}" if champion else "no version"
        what = (
            "Go back to the former champion of" if decision.action == "ASK" else "Deploy the newest model of"
        )
        subject = f"{what} {run.loop.model}? {now} is in Production"
        run.loop.ledger.append(
            Question(key=run_key, text=f"{subject}. {decision.reason}", event_time=run.fact.event_time),
            lease=run.lease,
        )
        text = f"{subject}. {decision.reason}. Answer on Airflow's page within {gate.ask_minutes:g} minutes"
        notify(run.loop, key=f"ask:{run_key}", kind="ask", text=text)
        run.loop.ledger.leases.release(run.lease)
        return {
            "subject": subject,
            "body": _body(decision, gate.ask_minutes, gate.ask_default),
            "minutes": gate.ask_minutes,
            "default": gate.ask_default,
        }


def _body(decision: PolicyDecision, minutes: float, default: str) -> str:
    checks = [
        f"| {check.name} | {'holds' if check.passed else 'FAILS'} | {check.sentence} |"
        for check in decision.evidence.checks
    ]
    compared = decision.evidence.comparison
    figures = (
        [
            "| | loss per row |",
            "|---|---|",
            f"| champion | {compared.champion_loss:.4f} |",
            f"| fresh models of {decision.evidence.leader} | {compared.challenger_loss:.4f} |",
            "",
        ]
        if compared
        else []
    )
    return "\n".join(
        [
            decision.reason,
            "",
            f"After {minutes:g} minutes without an answer: {default}.",
            "",
            *figures,
            "| check | | |",
            "|---|---|---|",
            *checks,
        ]
    )


def deploy(run_key: str, holder: str, answer: str | None = None) -> dict[str, Any]:
    """Deploy the model if the policy still says so, answer the request, and give the lease back.

    Args:
        run_key: Of the run.
        holder: The Airflow run.
        answer: What a person answered: `promote` or `keep`, with the name after a colon.
    """
    with opened(run_key, holder) as run:
        repair(run.loop)
        outcome = _deploy(run, answer)
        run.loop.ledger.leases.release(run.lease)
    log.info("%s: %s", run_key, outcome)
    return outcome


def _deploy(run: Run, answer: str | None) -> dict[str, Any]:
    ledger = run.loop.ledger
    earlier = ledger.get(Answer, run.fact.request)
    if earlier is not None:  # a cleared task
        return {"version": earlier.version, "action": earlier.action, "reason": earlier.reason}
    decision = run.decision()
    version = None
    if decision.action == "DEPLOY" and not run.request.dry_run:
        version = register(run.loop, run.shadow(decision.evidence), run.lease).version
        _tag_cause(run, decision.evidence)

    def conclude(snapshot: Snapshot) -> tuple[Answer, Transition | None]:
        now = run.decision(snapshot)
        if now.evidence.target != decision.evidence.target:
            now = PolicyDecision(
                action="SKIP", reason="another model is the newest by now", evidence=now.evidence
            )
        final, moves = _conclude(run, snapshot, now, version, answer)
        snapshot.append(final, *moves, run_end(run.fact, "concluded", final.reason), lease=run.lease)
        return final, next((move for move in moves if isinstance(move, Transition)), None)

    final, transition = ledger.decide(conclude)
    if transition is not None:
        end = transitions.finish(ledger, run.loop.registry, transition, run.lease)
        log.info("Transition %s is %s %s", transition.key, end.outcome, end.reason)
        if transition.kind == "rollback":
            notify(run.loop, key=transition.key, kind="rollback", text=transition.reason)
    return {"version": final.version, "action": final.action, "reason": final.reason}


def _conclude(
    run: Run, snapshot: Snapshot, now: PolicyDecision, version: str | None, answer: str | None
) -> tuple[Answer, list[Fact]]:
    """Return the answer to the request, and the facts of what it moves."""
    served = queries.served(run.loop.ledger)
    champion, orders = queries.champion(snapshot), state.orders_in_force(snapshot.all(Order))
    asked = now.action == "ASK" or (now.action == "DEPLOY" and run.loop.params.gate.ask == "promotion")
    choice, _, who = (answer or "keep:nobody, for nobody was asked").partition(":")
    if run.request.dry_run:
        return _final(run, "SKIP", f"dry run: {now.action}: {now.reason}", now), []
    if orders.pinned is not None and now.action in ("DEPLOY", "ASK"):
        return _final(run, "SKIP", f"the champion is pinned by {orders.pinned}: {now.reason}", now), []
    if asked and choice != "promote":
        return _final(run, "SKIP", f"kept by {who}: {now.reason}", now), []
    reason = f"approved by {who}: {now.reason}" if asked else now.reason
    if now.action == "ASK" and champion is not None and served.former is not None:
        transition, blocks = facts_of_rollback(
            bad=champion.version,
            to=served.former.version,
            actor=who or WATCH_RULE,
            reason=reason,
            event_time=run.loop.event_now(),
            key=run.fact.key,
            evidence_sha256=sha256(now.evidence),
        )
        return _final(run, "ROLLBACK", reason, now, served.former.version), [*blocks, transition]
    if now.action != "DEPLOY" or version is None:
        return _final(run, "SKIP", reason, now), []
    if version in orders.blocked:
        return (
            _final(run, "SKIP", f"version {version} is blocked by {orders.blocked[version]}: {reason}", now),
            [],
        )
    transition = Transition(
        key=f"{run.fact.key}:promote",
        kind="promote",
        version=version,
        to_stage="Production",
        replaces=champion.version if champion else None,
        actor=run.fact.holder,
        reason=f"DEPLOY: {reason}",
        evidence_sha256=sha256(now.evidence),
        event_time=run.loop.event_now(),
    )
    return _final(run, "DEPLOY", reason, now, version), [transition]


def _final(run: Run, action: Any, reason: str, now: PolicyDecision, version: str | None = None) -> Answer:
    return Answer(
        request=run.fact.request,
        action=action,
        reason=reason,
        holder=run.fact.holder,
        event_time=run.fact.event_time,
        run=run.fact.key,
        version=version,
        evidence=now.evidence,
    )


def _tag_cause(run: Run, evidence: Evidence) -> None:
    """Tag the model's MLflow run with who asked for its deployment, and with the labels and links of the alert that did."""
    request = run.request
    tracking.tag(
        evidence.target or "",
        {"trimtab.source": request.source, "trimtab.asked": request.reason}
        | {f"trimtab.alert.{name}": label for name, label in request.labels.items()}
        | {f"trimtab.link.{name}": link for name, link in request.links.items()},
    )
