"""What the ledger says about one week: the observation, the decisions, the version in Production."""

from examples.flights.records import Decision, Observed
from trimtab.drift import policy
from trimtab.ledger import (
    Answer,
    Judgement,
    Ledger,
    Observation,
    Request,
    Run,
    Version,
    Wait,
    batch_key,
    queries,
    state,
)
from trimtab.ledger.state import DecisionFact
from trimtab.params import Params
from trimtab.views.health import outcomes


def production(ledger: Ledger) -> str | None:
    """Return the version in Production."""
    live = state.live(queries.to_production(ledger))
    return live.version if live else None


def observed(ledger: Ledger, batch: str, params: Params, *, revision: int = 1) -> Observed | None:
    """Return the first observation of a batch revision, by the champion that was live when it came in."""
    first = next(iter(ledger.all(Observation, prefix=f"{batch_key(batch, revision)}:")), None)
    if first is None:
        return None
    assessment = policy.assess(first, params)
    return Observed(
        data_share=first.data.share,
        data_drift=assessment.data_drift,
        sigmas=first.concept.sigmas,
        concept_drift=assessment.concept_drift,
        abstained=first.concept.abstained,
    )


def decisions(ledger: Ledger, *, after: int) -> tuple[Decision, ...]:
    """Return the newest decision on each request that was decided after the fact with id `after`, retrainings first."""
    newest = {decision.request: decision for decision in _decisions(ledger) if decision.id > after}
    requests = {request.key: request for request in ledger.all(Request, keys=newest)}
    shown = [_decision(ledger, requests[key], decision) for key, decision in newest.items()]
    return tuple(sorted(shown, key=lambda decision: decision.action not in ("RETRAIN", "JUDGE")))


def newest_decision(ledger: Ledger) -> int:
    """Return the id of the newest decision, 0 before the first."""
    return max((decision.id for decision in _decisions(ledger)), default=0)


def _decisions(ledger: Ledger) -> list[DecisionFact]:
    return state.decisions(ledger.all(Run), ledger.all(Answer, run=None), ledger.all(Wait))


def _decision(ledger: Ledger, request: Request, decision: DecisionFact) -> Decision:
    outcome = outcomes(ledger, [decision]).of(decision) if isinstance(decision, Run) else None
    judgement = outcome.judgement if outcome else None
    return Decision(
        source=request.source,
        request=request.reason,
        action=state.action_of(decision),
        reason=decision.reason,
        version=_version(ledger, judgement) if judgement else None,
        outcome=outcome.state if outcome else None,
        sentence=outcome.reason if outcome else None,
        comparison=judgement.verdict.comparison if judgement and judgement.verdict else None,
    )


def _version(ledger: Ledger, judgement: Judgement) -> str | None:
    refits = ledger.all(Version, refit_of=judgement.version, newest=1)
    return refits[0].version if refits and judgement.state == "PROMOTE" else judgement.version
