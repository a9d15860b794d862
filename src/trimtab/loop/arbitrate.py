"""Write a request, and let the arbiter answer all that wait."""

import logging
from dataclasses import replace
from datetime import timedelta

from trimtab.contracts import Decision, Manifest, ModelVersion, Plan, Request, Source
from trimtab.data.batches import told
from trimtab.drift import policy
from trimtab.errors import NotEnoughBatches
from trimtab.ledger.records import RequestRecord, Transition
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.loop.reconcile import mend
from trimtab.loop.rollback import WATCH_RULE, intend, trouble
from trimtab.registry import transitions
from trimtab.trigger import arbiter
from trimtab.trigger.planning import make_look, make_plan

log = logging.getLogger(__name__)

_HOUR, _MONTH = timedelta(hours=1), timedelta(days=30)


def arbitrate(
    run_id: str,
    source: Source | None,
    *,
    reason: str = "",
    window_batches: int | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> str | None:
    """Answer the waiting requests; return the key of the training run to do now, or None.

    Args:
        run_id: The Airflow run that asks. It becomes the holder of the lease, and the episode of its own request. Asked
            again by the same run (a cleared task), the answer is the same.
        source: `schedule` or `ui` when the run itself is a request; None when it was only woken.
        reason: What the person wrote.
        window_batches: Newest batches to train on, instead of `train.window_batches`.
        force: Go on in spite of a cooldown. The gate is never skipped.
        dry_run: Train and judge, but register and move nothing.
    """
    loop = open_loop()
    mend(loop)
    own = [record for record in loop.ledger.runs(loop.model) if record.holder == run_id]
    if own:
        loop.ledger.hold(loop.lease, holder=run_id, minutes=loop.params.trigger.lease_minutes)
        return own[-1].run_key
    manifests = loop.origin.manifests(loop.commit)
    if source is not None:
        asked = Request(
            model=loop.model,
            source=source,
            episode=run_id,
            reason=reason or "no reason given",
            event_time=max((manifest.end for manifest in manifests), default=loop.ledger.now()),
            window_batches=window_batches,
            force=force,
            dry_run=dry_run,
        )
        loop.ledger.add_request(asked)
    champion = loop.champion()
    abandon(loop, champion, run_id)
    unloadable = _unloadable(loop, champion)
    with loop.ledger.write():
        run_key, rollback = _answer(loop, run_id, manifests, champion, unloadable)
    if rollback is not None:
        transitions.finish(loop.ledger, loop.registry, rollback)
        notify(loop, key=rollback.key, kind="rollback", text=rollback.reason)
    _tell_what_is_held_back(loop, unloadable)
    return run_key


def abandon(loop: Loop, champion: ModelVersion | None, actor: str) -> None:
    """End the judgement of a challenger whose champion went: what was measured against another one proves nothing now."""
    judged = loop.ledger.open_judgement(loop.model)
    if judged is None or judged.version is None or judged.verdict is None:
        return
    now = f"version {champion.version}" if champion else "the baseline"
    if judged.verdict.champion == now:
        return
    reason = f"ABANDONED: it was judged against {judged.verdict.champion}; {now} is champion by now"
    step = Transition(
        model=loop.model,
        key=f"{judged.run_key}:abandon",
        version=judged.version,
        to_stage="Archived",
        replaces=None,
        actor=actor,
        reason=reason,
        evidence_sha256=judged.evidence_sha256,
        event_time=judged.event_time,
    )
    transitions.close(loop.ledger, loop.registry, step, "ABANDONED")


def _unloadable(loop: Loop, champion: ModelVersion | None) -> dict[str, str]:
    """Load what the waiting requests need: the champion, and the version that a rollback would go back to."""
    waiting = loop.ledger.waiting(loop.model)
    wanted = {champion.version} if champion and waiting else set()
    for record in waiting:
        if record.request.source == "watch" and record.request.challenger is not None:
            wanted.add(record.request.challenger)
    found = {version: trouble(loop, version) for version in sorted(wanted)}
    return {version: text for version, text in found.items() if text is not None}


def _tell_what_is_held_back(loop: Loop, unloadable: dict[str, str]) -> None:
    for version, text in unloadable.items():
        notify(loop, key=f"unloadable:{version}:{text}", kind="unloadable", text=f"version {version}: {text}")
    pin = loop.ledger.standing(loop.model).pinned
    for record in loop.ledger.waiting(loop.model) if pin else []:
        if record.request.source == "watch":
            text = f"{record.request.reason}; not rolled back, for it is pinned by {pin}"
            notify(loop, key=f"pinned:{record.request.episode}", kind="pinned", text=text)


def _answer(
    loop: Loop,
    run_id: str,
    manifests: list[Manifest],
    champion: ModelVersion | None,
    unloadable: dict[str, str],
) -> tuple[str | None, Transition | None]:
    waiting = {record.id: record for record in loop.ledger.waiting(loop.model)}
    if not waiting:
        return None, None
    run_key = rollback = None
    state = _state(loop, manifests, champion, unloadable)
    for answer in arbiter.arbitrate(list(waiting.values()), state, loop.params):
        record, plan = waiting[answer.request_id], None
        if answer.action in ("RETRAIN", "JUDGE"):
            try:
                plan = _plan(loop, record, manifests, champion)
            except NotEnoughBatches as error:
                answer = replace(answer, action="WAIT", reason=str(error))
        if answer.action == "ROLLBACK":
            rollback = _rollback(loop, record.request)
        run_key = _write(loop, record, answer, run_id, plan) or run_key
    return run_key, rollback


def _rollback(loop: Loop, asked: Request) -> Transition:
    if asked.champion is None or asked.challenger is None:
        raise ValueError(f"The request for a rollback names no version: {asked}")
    return intend(
        loop,
        bad=asked.champion,
        to=asked.challenger,
        actor=WATCH_RULE,
        reason=asked.reason,
        event_time=loop.ledger.event_now(loop.model) or asked.event_time,
        key=f"watch:{asked.episode}",
    )


def _write(loop: Loop, record: RequestRecord, answer: Decision, run_id: str, plan: Plan | None) -> str | None:
    event_time = plan.cutoff if plan is not None else record.request.event_time
    written = loop.ledger.decide(loop.model, answer, holder=run_id, event_time=event_time, plan=plan)
    if written is None:
        return None
    log.info("Request %s (%s): %s, %s", record.id, record.request.source, answer.action, answer.reason)
    if plan is None:
        return None
    loop.ledger.hold(loop.lease, holder=run_id, minutes=loop.params.trigger.lease_minutes)
    return written.run_key


def _state(
    loop: Loop, manifests: list[Manifest], champion: ModelVersion | None, unloadable: dict[str, str]
) -> arbiter.State:
    real = [
        record for record in loop.ledger.retrainings(loop.model) if record.plan and not record.plan.dry_run
    ]
    concluded = [
        record.event_time
        for record in real
        if (judged := loop.ledger.judgement_of(loop.model, record.run_key)) and judged.verdict is not None
    ]
    last = real[-1].event_time if real else None
    through = champion.trained_through if champion else None
    open_judgement = loop.ledger.open_judgement(loop.model)
    judged_through = open_judgement.event_time if open_judgement else None
    standing, now = loop.ledger.standing(loop.model), loop.ledger.now()
    since = None if last is None else [manifest for manifest in manifests if manifest.end > last]
    newest = max((manifest.end for manifest in manifests), default=now)
    known = told(manifests, loop.params.data)
    hour = [record.at for record in loop.ledger.runs(loop.model) if now - _HOUR < record.at <= now]
    return arbiter.State(
        batches=len(known),
        fresh_batches=sum(through is None or manifest.start >= through for manifest in known),
        champion=champion.version if champion else None,
        in_flight=loop.ledger.lease_holder(loop.lease),
        batches_since_retraining=None if since is None else len(since),
        new_labels=None if since is None else sum(manifest.labelled for manifest in since),
        seen_through=concluded[-1] if concluded else None,
        under_judgement=open_judgement.version if open_judgement else None,
        unlooked_batches=sum(
            judged_through is not None and manifest.end > judged_through for manifest in known
        ),
        batches_since_rollback=_since_rollback(loop, manifests),
        retrainings_in_month=sum(record.event_time > newest - _MONTH for record in real),
        runs_in_hour=len(hour),
        drifted=_drifted(loop, champion),
        paused=str(standing.paused) if standing.paused else None,
        pinned=str(standing.pinned) if standing.pinned else None,
        blocked={version: str(record) for version, record in standing.blocked.items()},
        unloadable=unloadable,
    )


def _since_rollback(loop: Loop, manifests: list[Manifest]) -> int | None:
    given = [record.order for record in loop.ledger.orders(loop.model) if record.order.verb == "rollback"]
    if not given or (at := given[-1].event_time) is None:
        return None
    return sum(manifest.end > at for manifest in manifests)


def _drifted(loop: Loop, champion: ModelVersion | None) -> int | None:
    """Count the drifted among the newest batches that were measured with the champion, each in its newest revision."""
    if champion is None:
        return None
    newest = {
        record.observation.batch: record.observation
        for record in loop.ledger.observations(loop.model)
        if record.observation.champion == champion.version
    }
    starts = {record.manifest.batch: record.manifest.start for record in loop.ledger.batches(loop.model)}
    ordered = sorted(newest.values(), key=lambda seen: starts[seen.batch])
    found = [policy.assess(seen, loop.params) for seen in ordered[-loop.params.trigger.confirm_of :]]
    return sum(one.source == "drift" for one in found)


def _plan(
    loop: Loop, record: RequestRecord, manifests: list[Manifest], champion: ModelVersion | None
) -> Plan:
    asked, decision = record.request, f"{loop.model}-{record.id}"
    if asked.challenger is None:
        return make_plan(
            wanted=loop.params,
            commit=loop.commit,
            manifests=manifests,
            champion=champion,
            window_batches=asked.window_batches,
            decision=decision,
            dry_run=asked.dry_run,
        )
    challenger = loop.ledger.versions(loop.model)[asked.challenger]
    before = loop.ledger.judgement_of(loop.model, challenger.run_key)
    if before is None or before.verdict is None:
        raise ValueError(f"Version {asked.challenger} was never judged, so there is no next look at it")
    return make_look(
        wanted=loop.params,
        commit=loop.commit,
        manifests=manifests,
        champion=champion,
        challenger=challenger.model_version,
        before=before.verdict,
        decision=decision,
    )
