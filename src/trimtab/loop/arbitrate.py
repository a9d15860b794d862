"""Write a request, and let the arbiter answer all that wait."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from trimtab.contracts import Decision, Manifest, ModelVersion, Plan, Source
from trimtab.data.batches import sufficiently_labelled
from trimtab.drift import policy
from trimtab.errors import LeaseHeld, NotEnoughBatches
from trimtab.ledger import (
    Answer,
    Batch,
    Fact,
    Judgement,
    Lease,
    Ledger,
    Observation,
    Order,
    Request,
    Run,
    RunEnd,
    Snapshot,
    Transition,
    Version,
    Wait,
    queries,
    state,
)
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.loop.orders import WATCH_RULE, facts_of_rollback, load_error
from trimtab.loop.reconcile import repair
from trimtab.registry import transitions
from trimtab.trigger import arbiter
from trimtab.trigger.planning import make_look, make_plan

log = logging.getLogger(__name__)

_HOUR, _MONTH = timedelta(hours=1), timedelta(days=30)
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

    Args:
        run_id: The Airflow run that asks. It holds the lease, and is the episode of its own request. If it asks again
            (a cleared task), the answer is the same, unless its run has failed: then it makes a new plan.
        source: `schedule` or `ui` when the Airflow run itself is a request; None when it was only woken.
        reason: What the person wrote.
        window_batches: Newest batches to train on, instead of `train.window_batches`.
        force: Train in spite of a cooldown. The gate is never skipped.
        dry_run: Train and judge, but register and move nothing.
    """
    loop = open_loop()
    repair(loop)
    own = _own_run(loop.ledger, run_id)
    if own is not None:
        return own.key
    manifests = loop.origin.manifests(loop.commit)
    if source is not None:
        loop.ledger.append(
            Request(
                source=source,
                episode=run_id,
                reason=reason or "no reason given",
                event_time=max((manifest.end for manifest in manifests), default=loop.ledger.now()),
                window_batches=window_batches,
                force=force,
                dry_run=dry_run,
            )
        )
    abandon(loop, run_id)
    unloadable = _unloadable(loop)
    run_key = _with_lease(loop, run_id, manifests, unloadable)
    _notify_what_is_held_back(loop, unloadable)
    return run_key


def abandon(loop: Loop, actor: str) -> None:
    """End the judgement of a challenger whose champion was replaced: its evidence is about another champion."""
    judged = state.open_verdict(loop.ledger.all(Judgement))
    champion = loop.champion()
    now = champion.version if champion else None
    if judged is None or judged.version is None or judged.verdict is None or judged.verdict.champion == now:
        return
    transition = Transition(
        key=f"{judged.run_key}:abandon",
        kind="archive",
        version=judged.version,
        to_stage="Archived",
        replaces=None,
        actor=actor,
        reason=f"ABANDONED: it was judged against {judged.verdict.champion_name}; version {now} is champion now",
        evidence_sha256=judged.evidence_sha256,
        event_time=judged.event_time,
    )
    transitions.close(loop.ledger, loop.registry, transition, "ABANDONED")


def _own_run(ledger: Ledger, holder: str) -> Run | None:
    """Return the run that an Airflow run started before, unless it has failed or was lost."""
    given_up = {end.key for end in ledger.all(RunEnd) if end.outcome != "concluded"}
    return next(reversed(state.unfinished(ledger.all(Run, holder=holder), given_up)), None)


def _unloadable(loop: Loop) -> dict[str, str]:
    """Load what the waiting requests need: the champion, and the versions that rollbacks would go back to."""
    requests, champion = queries.waiting_requests(loop.ledger), loop.champion()
    versions = {champion.version} if champion and requests else set()
    versions |= {
        request.challenger for request in requests if request.source == "watch" and request.challenger
    }
    return {version: text for version in sorted(versions) if (text := load_error(loop, version)) is not None}


def _notify_what_is_held_back(loop: Loop, unloadable: Mapping[str, str]) -> None:
    for version, text in unloadable.items():
        notify(loop, key=f"unloadable:{version}:{text}", kind="unloadable", text=f"version {version}: {text}")
    pin = state.orders_in_force(loop.ledger.all(Order)).pinned
    for request in queries.waiting_requests(loop.ledger) if pin else []:
        if request.source == "watch":
            text = f"{request.reason}; not rolled back, because the version is pinned by {pin}"
            notify(loop, key=f"pinned:{request.episode}", kind="pinned", text=text)


def _with_lease(
    loop: Loop, run_id: str, manifests: Sequence[Manifest], unloadable: Mapping[str, str]
) -> str | None:
    """Answer under the lease if it can be had; without it no run is started."""
    if not queries.waiting_requests(loop.ledger):
        return None
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
            lambda facts: _answer(loop, facts, run_id, manifests, unloadable, lease, held_by)
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
    asking = {
        each.run_key for each in state.newest_judgements(loop.ledger.all(Judgement)) if each.state == "ASK"
    }
    for run in queries.runs_in_progress(loop.ledger):
        if run.holder != run_id and judged_key(loop.ledger, run) not in asking:
            reason = (
                f"it showed no sign of life for {loop.params.trigger.lease_minutes:g} minutes "
                f"(trigger.lease_minutes); see the log of the Airflow run {run.holder}"
            )
            loop.ledger.append(run_end(run, "lost", reason), lease=lease)


def judged_key(ledger: Ledger, run: Run) -> str:
    """Return the key of the run whose challenger is judged: this one's, or at a later look the one that trained it."""
    challenger = run.plan.challenger
    if challenger is None:
        return run.key
    return ledger.require(Version, challenger.version).run_key


def run_end(run: Run, outcome: arbiter.RunOutcome, reason: str) -> RunEnd:
    """Return the fact that ends a run."""
    return RunEnd(key=run.key, request=run.request, outcome=outcome, reason=reason, event_time=run.event_time)


def _answer(
    loop: Loop,
    facts: Snapshot,
    run_id: str,
    manifests: Sequence[Manifest],
    unloadable: Mapping[str, str],
    lease: Lease | None,
    held_by: str | None,
) -> tuple[str | None, Transition | None]:
    waiting = {request.key: request for request in queries.waiting_requests(facts)}
    champion = queries.champion(facts)
    now = replace(
        read_state(loop, facts, manifests, champion, run_id), unloadable=unloadable, in_flight=held_by
    )
    written: list[Fact] = []
    for decision in arbiter.arbitrate(list(waiting.values()), now, loop.params):
        request = waiting[decision.request]
        if decision.action in ("RETRAIN", "JUDGE"):
            try:
                written.append(_run(loop, facts, request, decision, manifests, champion, run_id))
                continue
            except NotEnoughBatches as error:
                decision = replace(decision, action="WAIT", reason=str(error))
        if decision.action == "ROLLBACK":
            written += _rollback(loop, request)
        written += _without_run(loop.ledger, request, decision, run_id)
    if written:
        facts.append(*written, lease=lease)
    for fact in written:
        if isinstance(fact, Run | Answer | Wait):
            log.info("Request %s: %s, %s", fact.request, state.action_of(fact), fact.reason)
    run_key = next((fact.key for fact in written if isinstance(fact, Run)), None)
    return run_key, next((fact for fact in written if isinstance(fact, Transition)), None)


def _without_run(ledger: Ledger, request: Request, decision: Decision, holder: str) -> list[Fact]:
    """Return the fact of an answer that starts no run; none for a WAIT in the same words as before."""
    if decision.action != "WAIT":
        return [
            Answer(
                request=request.key,
                action=decision.action,
                reason=decision.reason,
                holder=holder,
                event_time=request.event_time,
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


def _rollback(loop: Loop, request: Request) -> list[Fact]:
    if request.champion is None or request.challenger is None:
        raise ValueError(f"The request for a rollback names no version: {request}")
    transition, orders = facts_of_rollback(
        loop,
        bad=request.champion,
        to=request.challenger,
        actor=WATCH_RULE,
        reason=request.reason,
        event_time=loop.event_now(),
        key=f"watch:{request.episode}",
    )
    return [*orders, transition]


def _run(
    loop: Loop,
    facts: Snapshot,
    request: Request,
    decision: Decision,
    manifests: Sequence[Manifest],
    champion: ModelVersion | None,
    holder: str,
) -> Run:
    key = f"{loop.model}-{len(facts.keys(Run)) + 1}"
    plan = _plan(loop, request, manifests, champion, key)
    return Run(
        key=key,
        request=request.key,
        action="RETRAIN" if decision.action == "RETRAIN" else "JUDGE",
        reason=decision.reason,
        holder=holder,
        plan=plan,
        event_time=plan.cutoff,
    )


def read_state(
    loop: Loop, facts: Snapshot, manifests: Sequence[Manifest], champion: ModelVersion | None, run_id: str
) -> arbiter.State:
    """Return what the arbiter judges by, all but what can be loaded and who holds the lease."""
    runs, ends = facts.all(Run), {end.key: end for end in facts.all(RunEnd)}
    given_up = {key for key, end in ends.items() if end.outcome != "concluded"}
    retrainings = [
        run for run in runs if run.action == "RETRAIN" and not run.plan.dry_run and run.key not in given_up
    ]
    concluded = [run.event_time for run in retrainings if run.key in ends]
    last = retrainings[-1].event_time if retrainings else None
    through = champion.trained_through if champion else None
    judged = state.open_verdict(facts.all(Judgement))
    orders, now = state.orders_in_force(facts.all(Order)), loop.ledger.now()
    since = None if last is None else [manifest for manifest in manifests if manifest.end > last]
    newest = max((manifest.end for manifest in manifests), default=now)
    labelled = sufficiently_labelled(manifests, loop.params.data)
    return arbiter.State(
        batches=len(labelled),
        fresh_batches=sum(through is None or manifest.start >= through for manifest in labelled),
        champion=champion.version if champion else None,
        in_flight=None,
        batches_since_retraining=None if since is None else len(since),
        new_labels=None if since is None else sum(manifest.labelled for manifest in since),
        seen_through=concluded[-1] if concluded else None,
        under_judgement=judged.version if judged else None,
        unlooked_batches=sum(
            judged is not None and manifest.end > judged.event_time for manifest in labelled
        ),
        batches_since_rollback=_since_rollback(facts.all(Order), manifests),
        retrainings_in_month=sum(run.event_time > newest - _MONTH for run in retrainings),
        runs_in_hour=sum(now - _HOUR < run.at <= now for run in runs),  # failed ones too: they cost as much
        drifted=_drifted(loop, champion),
        paused=str(orders.paused) if orders.paused else None,
        pinned=str(orders.pinned) if orders.pinned else None,
        blocked={version: str(order) for version, order in orders.blocked.items()},
        failing=_failing(loop.commit, runs, ends, run_id),
    )


def _failing(commit: str, runs: Sequence[Run], ends: Mapping[str, RunEnd], run_id: str) -> dict[str, str]:
    """Return why requests must wait whose runs fail again and again at this commit, by request.

    An Airflow run whose own run has failed asks again only when a person cleared it, who need not wait.
    """
    failed = [
        ends[run.key]
        for run in runs
        if run.plan.commit == commit and run.key in ends and ends[run.key].outcome == "failed"
    ]
    tries, last = Counter(end.request for end in failed), {end.request: end.reason for end in failed}
    cleared = {run.request for run in runs if run.holder == run_id}
    return {
        request: f"{tries[request]} runs failed at commit {commit[:12]}, the last one so: {reason}"
        for request, reason in last.items()
        if tries[request] >= _TRIES_PER_COMMIT and request not in cleared
    }


def _since_rollback(orders: Sequence[Order], manifests: Sequence[Manifest]) -> int | None:
    at = next((order.event_time for order in reversed(orders) if order.verb == "rollback"), None)
    return None if at is None else sum(manifest.end > at for manifest in manifests)


def _drifted(loop: Loop, champion: ModelVersion | None) -> int | None:
    """Count the drifted among the newest batches that were measured with the champion, each in its newest revision."""
    if champion is None:
        return None
    newest = {seen.batch: seen for seen in loop.ledger.all(Observation, champion=champion.version)}
    starts = {batch.manifest.batch: batch.manifest.start for batch in loop.ledger.all(Batch)}
    ordered = sorted(newest.values(), key=lambda seen: starts[seen.batch])
    return sum(
        policy.assess(seen, loop.params).source == "drift"
        for seen in ordered[-loop.params.trigger.confirm_of :]
    )


def _plan(
    loop: Loop, request: Request, manifests: Sequence[Manifest], champion: ModelVersion | None, key: str
) -> Plan:
    if request.challenger is None:
        return make_plan(
            params=loop.params,
            commit=loop.commit,
            manifests=manifests,
            champion=champion,
            window_batches=request.window_batches,
            decision=key,
            dry_run=request.dry_run,
        )
    challenger = loop.ledger.require(Version, request.challenger)
    before = loop.ledger.last(Judgement, run_key=challenger.run_key)
    if before is None or before.verdict is None:
        raise ValueError(f"Version {request.challenger} was never judged, so there is no next look at it")
    return make_look(
        params=loop.params,
        commit=loop.commit,
        manifests=manifests,
        champion=champion,
        challenger=challenger.model_version,
        before=before.verdict,
        decision=key,
    )
