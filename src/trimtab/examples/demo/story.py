"""What the ledger tells of one week: the observation, the answers, the version in Production."""

from trimtab.drift import policy
from trimtab.examples.demo.records import Answer, Observed
from trimtab.params import Params
from trimtab.registry.ledger import Ledger
from trimtab.registry.records import DecisionRecord, RequestRecord


def production(ledger: Ledger, model: str) -> str | None:
    """Return the version that the ledger last saw go to Production."""
    moves = [record.transition for record in ledger.transitions(model) if record.phase == "done"]
    return next((move.version for move in reversed(moves) if move.to_stage == "Production"), None)


def observed(ledger: Ledger, batch: str, params: Params) -> Observed | None:
    """Return the first observation of the batch, by the champion that was live when it came in."""
    records = [record.observation for record in ledger.observations(params.model.name)]
    seen = next((one for one in records if one.batch == batch), None)
    if seen is None:
        return None
    found = policy.assess(seen, params)
    return Observed(
        data_share=seen.data.share,
        data_drift=found.data_drift,
        sigmas=seen.concept.sigmas,
        concept_drift=found.concept_drift,
    )


def answers(ledger: Ledger, model: str, *, after: int) -> tuple[Answer, ...]:
    """Return the last answer to every request that was answered after the decision with id `after`, retrainings first."""
    asked = {record.id: record for record in ledger.requests(model)}
    last = {record.request_id: record for record in ledger.decisions(model) if record.id > after}
    found = [_answer(ledger, asked[record.request_id], record) for record in last.values()]
    return tuple(sorted(found, key=lambda answer: answer.action != "RETRAIN"))


def newest_decision(ledger: Ledger, model: str) -> int:
    """Return the id of the newest decision, 0 before the first."""
    return max((record.id for record in ledger.decisions(model)), default=0)


def _answer(ledger: Ledger, asked: RequestRecord, decision: DecisionRecord) -> Answer:
    judgement = (
        ledger.judgement_of(decision.model, decision.run_key) if decision.action == "RETRAIN" else None
    )
    comparison = judgement.verdict.comparison if judgement and judgement.verdict else None
    return Answer(
        source=asked.request.source,
        asked=asked.request.reason,
        action=decision.action,
        reason=decision.reason,
        version=judgement.version if judgement else None,
        verdict=judgement.state if judgement else None,
        sentence=judgement.reason if judgement else None,
        gain=comparison.gain if comparison else None,
        lower=comparison.lower if comparison else None,
        upper=comparison.upper if comparison else None,
        confidence=comparison.confidence if comparison else None,
    )
