"""What the ledger tells of one week: the observation, the answers, the version in Production."""

from examples.flights.records import Answer, Observed
from trimtab.drift import policy
from trimtab.ledger.ledger import Ledger
from trimtab.ledger.records import DecisionRecord, JudgementRecord, RequestRecord
from trimtab.params import Params


def production(ledger: Ledger, model: str) -> str | None:
    """Return the version that the ledger last saw go to Production."""
    moves = [record.transition for record in ledger.transitions(model) if record.phase == "done"]
    return next((move.version for move in reversed(moves) if move.to_stage == "Production"), None)


def observed(ledger: Ledger, batch: str, params: Params, *, revision: int = 1) -> Observed | None:
    """Return the first observation of a batch at a revision, by the champion that was live when it came in."""
    records = [record.observation for record in ledger.observations(params.model.name)]
    seen = next((one for one in records if (one.batch, one.revision) == (batch, revision)), None)
    if seen is None:
        return None
    found = policy.assess(seen, params)
    return Observed(
        data_share=seen.data.share,
        data_drift=found.data_drift,
        sigmas=seen.concept.sigmas,
        concept_drift=found.concept_drift,
        abstained=seen.concept.abstained,
    )


def answers(ledger: Ledger, model: str, *, after: int) -> tuple[Answer, ...]:
    """Return the last answer to every request that was answered after the decision with id `after`, retrainings first."""
    asked = {record.id: record for record in ledger.requests(model)}
    last = {record.request_id: record for record in ledger.decisions(model) if record.id > after}
    found = [_answer(ledger, asked[record.request_id], record) for record in last.values()]
    return tuple(sorted(found, key=lambda answer: answer.action not in ("RETRAIN", "JUDGE")))


def newest_decision(ledger: Ledger, model: str) -> int:
    """Return the id of the newest decision, 0 before the first."""
    return max((record.id for record in ledger.decisions(model)), default=0)


def _answer(ledger: Ledger, asked: RequestRecord, decision: DecisionRecord) -> Answer:
    judgement = _judgement(ledger, decision)
    comparison = judgement.verdict.comparison if judgement and judgement.verdict else None
    return Answer(
        source=asked.request.source,
        asked=asked.request.reason,
        action=decision.action,
        reason=decision.reason,
        version=_version(ledger, decision.model, judgement) if judgement else None,
        verdict=judgement.state if judgement else None,
        sentence=judgement.reason if judgement else None,
        gain=comparison.gain if comparison else None,
        lower=comparison.lower if comparison else None,
        upper=comparison.upper if comparison else None,
        error=comparison.error if comparison else None,
    )


def _judgement(ledger: Ledger, decision: DecisionRecord) -> JudgementRecord | None:
    """Return what the run that a decision started found: at its look, or the newest when it came to none."""
    plan = decision.plan
    if decision.action not in ("RETRAIN", "JUDGE"):
        return None
    challenger = plan.challenger.version if plan and plan.challenger else None
    versions = ledger.versions(decision.model)
    key = versions[challenger].run_key if challenger else decision.run_key
    looks = [one for one in ledger.judgements(decision.model) if one.run_key == key]
    of_this = [one for one in looks if one.verdict and plan and one.verdict.look == plan.look]
    found = of_this or looks
    return found[-1] if found else None


def _version(ledger: Ledger, model: str, judgement: JudgementRecord) -> str | None:
    refits = [one.version for one in ledger.versions(model).values() if one.refit_of == judgement.version]
    return refits[-1] if refits and judgement.state == "PROMOTE" else judgement.version
