"""What the ledger says about one week: the observation, the decisions, the version in Production."""

from collections.abc import Collection, Mapping

from examples.flights.records import Answer, Observed
from trimtab.drift import policy
from trimtab.ledger import Ledger, queries, state
from trimtab.ledger.facts import Answer as FinalAnswer
from trimtab.ledger.facts import Judgement, Observation, Request, Run, RunEnd, Version, Wait, batch_key
from trimtab.params import Params


def production(ledger: Ledger) -> str | None:
    """Return the version in Production."""
    live = state.live(queries.to_production(ledger))
    return live.version if live else None


def observed(ledger: Ledger, batch: str, params: Params, *, revision: int = 1) -> Observed | None:
    """Return the first observation of a batch revision, by the champion that was live when it came in."""
    observations = ledger.all(Observation, prefix=f"{batch_key(batch, revision)}:")
    if not observations:
        return None
    first = observations[0]
    assessment = policy.assess(first, params)
    return Observed(
        data_share=first.data.share,
        data_drift=assessment.data_drift,
        sigmas=first.concept.sigmas,
        concept_drift=assessment.concept_drift,
        abstained=first.concept.abstained,
    )


def decisions(ledger: Ledger) -> list[state.DecisionFact]:
    """Return all decisions of the arbiter, oldest first."""
    return state.decisions(ledger.all(Run), ledger.all(FinalAnswer, run=None), ledger.all(Wait))


def answers(ledger: Ledger, *, after: int) -> tuple[Answer, ...]:
    """Return the newest decision on each request that was decided after the fact `after`, retrainings first."""
    newest = {decision.request: decision for decision in decisions(ledger) if decision.id > after}
    requests = {request.key: request for request in ledger.all(Request, keys=newest)}
    found = [_answer(ledger, requests[key], decision) for key, decision in newest.items()]
    return tuple(sorted(found, key=lambda answer: answer.action not in ("RETRAIN", "JUDGE")))


def newest_decision(ledger: Ledger) -> int:
    """Return the id of the newest decision, 0 before the first."""
    return max((decision.id for decision in decisions(ledger)), default=0)


def _answer(ledger: Ledger, request: Request, decision: state.DecisionFact) -> Answer:
    judgement = _judgement(ledger, decision) if isinstance(decision, Run) else None
    end = ledger.get(RunEnd, decision.key) if isinstance(decision, Run) else None
    comparison = judgement.verdict.comparison if judgement and judgement.verdict else None
    ...
