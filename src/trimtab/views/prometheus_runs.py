"""Requests, decisions, runs and orders, as Prometheus reads them."""

from collections.abc import Iterator, Sequence
from typing import get_args

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from trimtab.contracts import Action, VerdictKind
from trimtab.views.prometheus_inputs import Facts, counts, gauge, labelled, seconds

BUCKETS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
"""Seconds from the arbiter's decision to the gate's verdict."""


def requests(facts: Facts) -> Iterator[Metric]:
    """Return what waits, and what was answered."""
    unread = {record.id for record in facts.unread}
    states = {
        "unread": facts.unread,
        "held_back": [record for record in facts.waiting if record.id not in unread],
    }
    numbers = [(state, float(len(records))) for state, records in states.items()]
    yield labelled(
        "trimtab_retraining_requests_waiting",
        "Requests without a final answer: unread by the arbiter, or answered WAIT.",
        "state",
        numbers,
    )
    oldest = [(state, records[0].at.timestamp()) for state, records in states.items() if records]
    yield labelled(
        "trimtab_retraining_requests_oldest_timestamp_seconds",
        "When the oldest of them came.",
        "state",
        oldest,
    )
    actions = [record.action for record in facts.decisions]
    yield counts("trimtab_decisions", "Answers of the arbiter.", "action", get_args(Action), actions)


def runs(facts: Facts) -> Iterator[Metric]:
    """Return what the gate said, how long runs take, and how the newest does."""
    verdicts = [record.verdict.kind for record in facts.judgements if record.verdict is not None]
    kinds = get_args(VerdictKind)
    yield counts("trimtab_gate_verdicts", "Verdicts of the gate, looks included.", "verdict", kinds, verdicts)
    taken = list(_durations(facts))
    yield _histogram(taken)
    last = taken[-1] if taken else None
    yield gauge("trimtab_retraining_last_seconds", "The last of them.", last)
    yield gauge(
        "trimtab_retraining_unfinished",
        "1 while the newest run has no outcome: it runs, or it failed.",
        float(_unfinished(facts)),
    )
    yield gauge("trimtab_lease_held", "1 while a run holds the lease.", float(facts.lease is not None))
    since = seconds(facts.lease.acquired_at if facts.lease else None)
    yield gauge("trimtab_lease_acquired_timestamp_seconds", "Since when.", since)
    yield gauge(
        "trimtab_gate_dead", "1 when the gate judged its own probes wrongly last.", float(_dead(facts))
    )


def _durations(facts: Facts) -> Iterator[float]:
    for decision in facts.decisions:
        if decision.action == "RETRAIN":
            ends = [one.at for one in facts.judgements if one.run_key == decision.run_key and one.verdict]
            if ends:
                yield max(0.0, (ends[0] - decision.at).total_seconds())


def _histogram(taken: Sequence[float]) -> Metric:
    family = HistogramMetricFamily("trimtab_retraining_seconds", "Time from the decision to the verdict.")
    bounds = [(str(float(limit)), float(sum(one <= limit for one in taken))) for limit in BUCKETS]
    family.add_metric([], [*bounds, ("+Inf", float(len(taken)))], sum(taken))
    return family


def _unfinished(facts: Facts) -> bool:
    started = [one for one in facts.decisions if one.action in ("RETRAIN", "JUDGE")]
    if not started:
        return False
    run = started[-1]
    if run.plan is not None and run.plan.dry_run:  # leaves nothing but the lease that it gave back
        return facts.lease is not None and facts.lease.holder == run.holder
    return not any(one.state != "OPEN" and one.at >= run.at for one in facts.judgements)


def _dead(facts: Facts) -> bool:
    deaths = [one.at for one in facts.notices if one.kind == "gate_dead"]
    verdicts = [one.at for one in facts.judgements if one.verdict is not None]
    return bool(deaths) and (not verdicts or verdicts[-1] < deaths[-1])


def people(facts: Facts) -> Iterator[Metric]:
    """Return which orders are in force."""
    standing = facts.standing
    yield gauge("trimtab_paused", "1 while a person has paused the loop.", float(standing.paused is not None))
    yield gauge("trimtab_pinned", "1 while the champion is pinned.", float(standing.pinned is not None))
