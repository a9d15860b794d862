"""Write a request, and let the arbiter answer all that wait."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from trimtab.contracts import Candidate, Source, sha256
from trimtab.data.batches import sufficiently_labelled
from trimtab.errors import GateDead, LeaseHeld
from trimtab.evaluate import probes
from trimtab.evaluate.record import candidate_name, recipe_number
from trimtab.ledger import (
    Answer,
    Batch,
    Fact,
    Lease,
    Ledger,
    Order,
    Request,
    Run,
    RunEnd,
    Snapshot,
    Transition,
    Wait,
    queries,
    state,
)
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.loop.orders import WATCH_RULE, facts_of_rollback, load_error
from trimtab.loop.reconcile import repair
from trimtab.params import candidate_of
from trimtab.registry import transitions
from trimtab.trigger import arbiter, policy
from trimtab.trigger.planning import plan_backfill
from trimtab.trigger.policy import PolicyDecision
from trimtab.trigger.standing import Standing, standing

log = logging.getLogger(__name__)

_HOUR, _MONTH = timedelta(hours=1), timedelta(days=arbiter.MONTH_DAYS)
_TRIES_PER_COMMIT = 3
"""Runs of one request that may fail at one commit before the request waits for another commit."""


def arbitrate(
    run_id: str,
    source: Source | None,
    *,
    reason: str = "",
    window_batches: int | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> str | None:
    """Answer the waiting requests; return the key of the run to do now, or None.

    A person's dry run or request for a window is answered alone: others wait for a run that was woken for them.

    Args:
        run_id: The Airflow run that asks. It holds the lease, and is the episode of its own request. If it asks again
            (a cleared task), the answer is the same, unless its run has failed: then the request is answered again.
        source: `schedule` or `ui` when the Airflow run itself is a request; None when it was only woken.
        reason: What the person wrote.
        window_batches: Deploy a model of this training window, if it proves to be better than the leading one.
        force: Go on in spite of the budget. The guard is never skipped.
        dry_run: Decide, but register and move nothing.

    Raises:
        GateDead: The guard judged a probe wrongly; nothing is deployed.
    """
    loop = open_loop()
    repair(loop)
    own = _own_run(loop.ledger, run_id)
    if own is not None:
        return own.key
    only: str | None = None
    if source is not None:
        request = Request(
            source=source,
            episode=run_id,
            reason=reason or "no reason given",
            event_time=loop.event_now(),
            window_batches=window_batches,
            force=force,
            dry_run=dry_run,
        )
        loop.ledger.append(request)
        only = request.key if dry_run or window_batches is not None else None
    if not queries.waiting_requests(loop.ledger):
        return None
    _probe(loop, run_id)
    run_key = _with_lease(loop, run_id, only)
    _notify_what_is_held_back(loop)
    return run_key


def decide(loop: Loop, now: Standing, request: Request) -> PolicyDecision:
    """Return what the policy says to a request."""
    if request.window_batches is not None:
        name = _chosen(request.window_batches, now).name
        return policy.challenge(now.record, now.tenures, name, now.leading, loop.params)
    return policy.decide(now.record, now.tenures, now.leading, loop.params, request.source)


def _chosen(window: int, now: Standing) -> Candidate:
    """Return the candidate of the leading recipe with the training window that a person chose."""
    name, batches = candidate_of(window)
    number = recipe_number(now.leading)
    recipe = next((entry.recipe for entry in now.recipes if entry.number == number), None)
    return Candidate(name=candidate_name(name, number), window=batches, recipe=recipe)


def run_end(run: Run, outcome: arbiter.RunOutcome, reason: str) -> RunEnd:
    """Return the fact that ends a run."""
    return RunEnd(key=run.key, request=run.request, outcome=outcome, reason=reason, event_time=run.event_time)


def _own_run(ledger: Ledger, holder: str) -> Run | None:
    """Return the run that an Airflow run started before, unless it has failed or was lost."""
    given_up = {end.key for end in ledger.all(RunEnd) if end.outcome != "concluded"}
    return next(reversed(state.unfinished(ledger.all(Run, holder=holder), given_up)), None)


def _probe(loop: Loop, run_id: str) -> None:
    try:
        probes.run(loop.params)
    except GateDead as error:
        notify(loop, key=f"gate_dead:{run_id}", kind="gate_dead", text=str(error))
        raise


def _notify_what_is_held_back(loop: Loop) -> None:
    pin, former = state.orders_in_force(loop.ledger.all(Order)).pinned, queries.served(loop.ledger).former
    for request in queries.waiting_requests(loop.ledger):
        if request.source == "watch" and pin:
            text = f"{request.reason}; not rolled back, because the version is pinned by {pin}"
            notify(loop, key=f"pinned:{request.episode}", kind="pinned", text=text)
        if request.source == "watch" and former and (error := load_error(loop, former.version)):
            key, text = f"unloadable:{former.version}:{error}", f"version {former.version}: {error}"
            notify(loop, key=key, kind="unloadable", text=text)


def _with_lease(loop: Loop, run_id: str, only: str | None) -> str | None:
    """Answer under the lease if it can be had; without it no run is started. `only` is the one request to answer, if any."""
    lease: Lease | None = None
    held_by: str | None = None
    try:
        lease = loop.take_lease(run_id)
        _close_lost_runs(loop, run_id, lease)
    except LeaseHeld as error:
        held_by = error.holder
    run_key = None
    try:
        run_key, rollback = loop.ledger.decide(
            lambda facts: _answer(loop, facts, run_id, lease, held_by, only)
        )
    finally:
        if lease is not None and run_key is None:
            loop.ledger.leases.release(lease)
    if rollback is not None:
        transitions.finish(loop.ledger, loop.registry, rollback)
        notify(loop, key=rollback.key, kind="rollback", text=rollback.reason)
    return run_key


def _close_lost_runs(loop: Loop, run_id: str, lease: Lease) -> None:
    """End the runs whose lease has passed to this one; a run that waits for a person's answer gave its lease back."""
    asking = queries.asking(loop.ledger)
    for run in queries.runs_in_progress(loop.ledger):
        if run.holder != run_id and run.key not in asking:
            reason = (
                f"it showed no sign of life for {loop.params.trigger.lease_minutes:g} minutes "
                f"(trigger.lease_minutes); see the log of the Airflow run {run.holder}"
            )
            loop.ledger.append(run_end(run, "lost", reason), lease=lease)


def _answer(
    loop: Loop, facts: Snapshot, run_id: str, lease: Lease | None, held_by: str | None, only: str | None
) -> tuple[str | None, Transition | None]:
    waiting = {each.key: each for each in queries.waiting_requests(facts) if only in (None, each.key)}
    now = standing(facts, loop.params)
    read = replace(read_state(loop, facts, run_id), in_flight=held_by)
    decisions = arbiter.arbitrate(
        list(waiting.values()), read, loop.params, lambda request: decide(loop, now, request)
    )
    written: list[Fact] = []
    for decision in decisions:
        request = waiting[decision.request]
        log.info("Request %s: %s, %s", request.key, decision.action, decision.reason)
        if decision.action in ("DEPLOY", "ASK"):
            written.append(_run(loop, facts, now, request, decision, run_id))
            continue
        if decision.action == "ROLLBACK":
            written += _rollback(loop, request, decision, read)
        written += _without_run(loop.ledger, request, decision, read, run_id)
    if written:
        facts.append(*written, lease=lease)
    run_key = next((fact.key for fact in written if isinstance(fact, Run)), None)
    return run_key, next((fact for fact in written if isinstance(fact, Transition)), None)


def _without_run(
    ledger: Ledger, request: Request, decision: arbiter.Decision, read: arbiter.State, holder: str
) -> list[Fact]:
    """Return the fact of an answer that starts no run; none for a WAIT in the same words as before."""
    if decision.action != "WAIT":
        return [
            Answer(
                request=request.key,
                action=decision.action,
                reason=decision.reason,
                holder=holder,
                event_time=request.event_time,
                version=read.former if decision.action == "ROLLBACK" else None,
                evidence=decision.evidence,
            )
        ]
    waits = ledger.all(Wait, request=request.key)
    if waits and waits[-1].reason == decision.reason:
        return []
    return [
        Wait(
            request=request.key,
            reason=decision.reason,
            holder=holder,
            event_time=request.event_time,
            number=len(waits) + 1,
        )
    ]


def _rollback(
    loop: Loop, request: Request, decision: arbiter.Decision, read: arbiter.State
) -> Sequence[Fact]:
    if read.champion is None or read.former is None:
        raise ValueError(f"There is no version to go back to: {request}")
    transition, orders = facts_of_rollback(
        bad=read.champion,
        to=read.former,
        actor=WATCH_RULE,
        reason=decision.reason,
        event_time=loop.event_now(),
        key=f"watch:{request.episode}",
        evidence_sha256=sha256(decision.evidence) if decision.evidence else None,
    )
    return [*orders, transition]


def _run(
    loop: Loop, facts: Snapshot, now: Standing, request: Request, decision: arbiter.Decision, holder: str
) -> Run:
    key = f"{loop.model}-{len(facts.keys(Run)) + 1}"
    plan = None
    if request.window_batches is not None:
        name, _ = candidate_of(request.window_batches)
        if name not in loop.params.train.candidates:
            plan = plan_backfill(
                params=loop.params,
                commit=loop.commit,
                manifests=[batch.manifest for batch in state.batches_in_force(facts.all(Batch))],
                candidates=[_chosen(request.window_batches, now)],
                models=[champion] if (champion := queries.champion(facts)) else [],
                decision=key,
            )
    return Run(
        key=key,
        request=request.key,
        action="ASK" if decision.action == "ASK" else "DEPLOY",
        reason=decision.reason,
        holder=holder,
        commit=loop.commit,
        plan=plan,
        event_time=loop.event_now(),
    )


def read_state(loop: Loop, facts: Snapshot, run_id: str) -> arbiter.State:
    """Return what the arbiter judges by, all but who holds the lease."""
    runs, ends = facts.all(Run), {end.key: end for end in facts.all(RunEnd)}
    batches = [batch.manifest for batch in state.batches_in_force(facts.all(Batch))]
    newest = max((manifest.end for manifest in batches), default=loop.ledger.now())
    moves = queries.to_production(facts)
    served, now = queries.served(loop.ledger), loop.ledger.now()
    return arbiter.State(
        batches=len(sufficiently_labelled(batches, loop.params.data)),
        champion=served.champion.version if served.champion else None,
        former=served.former.version if served.former else None,
        deployments_in_month=sum(
            move.kind == "promote" and move.event_time > newest - _MONTH for move in moves
        ),
        runs_in_hour=sum(now - _HOUR < run.at <= now for run in runs),  # failed ones too: they cost as much
        orders=state.orders_in_force(facts.all(Order)),
        unloadable=load_error(loop, served.former.version) if served.former else None,
        failing=_failing(loop.commit, runs, ends, run_id),
    )


def _failing(commit: str, runs: Sequence[Run], ends: Mapping[str, RunEnd], run_id: str) -> dict[str, str]:
    """Return why requests must wait whose runs fail again and again at this commit, by request.

    An Airflow run whose own run has failed asks again only when a person cleared it, who need not wait.
    """
    failed = [
        ends[run.key]
        for run in runs
        if run.commit == commit and run.key in ends and ends[run.key].outcome == "failed"
    ]
    tries, last = Counter(end.request for end in failed), {end.request: end.reason for end in failed}
    cleared = {run.request for run in runs if run.holder == run_id}
    return {
        request: f"{tries[request]} runs failed at commit {commit[:12]}, the last one so: {reason}"
        for request, reason in last.items()
        if tries[request] >= _TRIES_PER_COMMIT and request not in cleared
    }
