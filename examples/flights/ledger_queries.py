"""What the ledger says about one week: what was measured, and what was decided."""

from examples.flights.records import Decision, Measured
from trimtab.evaluate.regret import regret
from trimtab.ledger import Answer, Ledger, Measurement, Request, Shadow, Wait
from trimtab.ledger.state import action_of
from trimtab.params import Params
from trimtab.trigger.standing import standing


def measured(ledger: Ledger, batch: str, params: Params) -> Measured | None:
    """Return what was measured on a batch, for the champion that was live when it came in; None before that."""
    now = standing(ledger, params)
    through = next((number for number, scored in enumerate(now.record, 1) if scored.batch == batch), 0)
    record, measurement = now.record[:through], ledger.last(Measurement, batch=batch, decision=None)
    champion = next((tenure for tenure in reversed(now.tenures) if tenure.since < through), None)
    if champion is None or measurement is None:
        return None
    scores, leader = record[-1].scores, measurement.leader
    ours, fresh = scores.get(champion.model), scores.get(record[-1].shadows.get(leader, ""))
    return Measured(
        loss=ours.loss if ours else None,
        auc=ours.auc if ours else None,
        fresh=fresh.loss if fresh else None,
        regret=regret(record, record[champion.since :], champion=champion.model, leader=leader).share,
    )


def decisions(ledger: Ledger, *, after: int) -> tuple[Decision, ...]:
    """Return the newest decision on each request that was decided after the fact with id `after`, oldest first."""
    newest = {decision.request: decision for decision in _decisions(ledger) if decision.id > after}
    return tuple(
        Decision(
            source=ledger.require(Request, key).source,
            action=action_of(decision),
            reason=decision.reason,
            version=decision.version if isinstance(decision, Answer) else None,
        )
        for key, decision in newest.items()
    )


def newest_decision(ledger: Ledger) -> int:
    """Return the id of the newest decision, 0 before the first."""
    return max((decision.id for decision in _decisions(ledger)), default=0)


def fits(ledger: Ledger) -> int:
    """Return the number of models that the loop has fitted."""
    return sum(shadow.training is not None for shadow in ledger.all(Shadow))


def _decisions(ledger: Ledger) -> list[Answer | Wait]:
    return sorted([*ledger.all(Answer), *ledger.all(Wait)], key=lambda decision: decision.id)
