"""What the metrics of one model are computed from, read from the ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.ledger import Ledger, queries, state
from trimtab.ledger.facts import (
    Answer,
    Batch,
    Judgement,
    Notice,
    Observation,
    Order,
    QuarantineAction,
    Run,
    RunEnd,
    Transition,
    Wait,
)
from trimtab.ledger.leases import Lease
from trimtab.params import Params
from trimtab.views.health import waiting
from trimtab.views.page.view import Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """The verdicts of the gate: how many of each kind, and how long after the decision the first of each run came."""

    kinds: Mapping[str, int]
    seconds: Sequence[float]
    newest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the ledger holds of one model.

    `batches` are those in force. `observation` is that of the champion on its newest batch. `moves` are the completed
    transitions to Production. `decisions` counts the arbiter's by action. `unfinished` says whether the newest run has come
    to no conclusion.
    """

    params: Params
    batches: Sequence[Batch]
    unmeasured: int
    measured_at: datetime | None
    observation: Observation | None
    moves: Sequence[Transition]
    waiting: Sequence[Waiting]
    decisions: Mapping[str, int]
    verdicts: Verdicts
    under_judgement: str | None
    unfinished: bool
    gate_died_at: datetime | None
    lease: Lease | None
    orders: state.OrdersInForce
    quarantine: int


def read(ledger: Ledger, params: Params, lease_name: str) -> Inputs:
    """Read the inputs; of observations, runs and verdicts only the newest are read as a whole. MLflow is not asked."""
    revisions, observed, moves = ledger.all(Batch), ledger.keys(Observation), queries.to_production(ledger)
    live, measured = state.live(moves), ledger.last(Observation)
    key = state.newest_observation(revisions, observed, live.version) if live else None
    deaths, runs = ledger.all(Notice, kind="gate_dead", newest=1), ledger.columns(Run, "key", "at", "action")
    return Inputs(
        params=params,
        batches=state.batches_in_force(revisions),
        unmeasured=len(state.unmeasured(revisions, observed, live.version, live.event_time)) if live else 0,
        measured_at=measured.at if measured else None,
        observation=ledger.get(Observation, key) if key else None,
        moves=moves,
        waiting=waiting(ledger),
        decisions=_decisions(ledger, runs),
        verdicts=_verdicts(ledger, runs),
        under_judgement=queries.under_judgement(ledger, ("HOLD", "ASK")),
        unfinished=bool(runs) and not _concluded(ledger, runs[-1][0]),
        gate_died_at=deaths[0].at if deaths else None,
        lease=ledger.leases.current(lease_name),
        orders=state.orders_in_force(ledger.all(Order)),
        quarantine=len(state.open_quarantine(ledger.all(QuarantineAction))),
    )


def _concluded(ledger: Ledger, run_key: str) -> bool:
    end = ledger.get(RunEnd, run_key)
    return end is not None and end.outcome == "concluded"


def _decisions(ledger: Ledger, runs: Sequence[Any]) -> Counter[str]:
    answers = [action for action, run in ledger.columns(Answer, "action", "run") if run is None]
    waits = Counter(WAIT=len(ledger.keys(Wait)))
    return Counter(action for _, _, action in runs) + Counter(answers) + waits


def _verdicts(ledger: Ledger, runs: Sequence[Any]) -> Verdicts:
    rows = ledger.columns(Judgement, "run_key", "at", "verdict.kind")
    verdicts = [(run_key, at, kind) for run_key, at, kind in rows if kind is not None]
    first_at = {run_key: at for run_key, at, _ in reversed(verdicts)}
    judged = [(at, first_at[key]) for key, at, action in runs if action == "RETRAIN" and key in first_at]
    return Verdicts(
        kinds=Counter(kind for _, _, kind in verdicts),
        seconds=[max(0.0, (end - begin).total_seconds()) for begin, end in judged],
        newest_at=verdicts[-1][1] if verdicts else None,
    )
