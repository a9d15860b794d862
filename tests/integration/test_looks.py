"""A challenger that the first look could not tell is looked at again, on all evidence so far, until it is told or the looks end."""

import pytest

from tests.support import playground
from tests.support.ledger import decisions
from tests.support.moments import Site
from tests.support.playground import TASKS, retrained, take_in
from trimtab.ledger import Judgement, Request, Run, Version, state
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import arbitrate
from trimtab.loop.loop import Loop


@pytest.fixture
def loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A loop with a champion and a held challenger: its gate is so strict that it can tell nothing but the baseline apart."""
    loop = site.empty(monkeypatch, "strict", gate__looks=2, gate__error=0.02)

    def hold() -> None:
        take_in(loop, range(5))
        assert retrained("first")["verdict"] == "PROMOTE"
        take_in(loop, range(5, 7))
        held = retrained("second", force=True)
        assert held["verdict"] == "HOLD", held

    return site.at("strict and held", hold)


def looked(run_id: str) -> dict[str, object]:
    run_key = arbitrate.arbitrate(run_id, None)
    assert run_key is not None
    return [task(run_key, run_id) for task in TASKS][-1]


def test_a_held_challenger_is_judged_on_all_evidence_and_rejected_after_the_last_look(loop: Loop) -> None:
    assert loop.registry.aliases(loop.model) == {"champion": "2", "challenger": "3"}

    (asked,) = waiting_requests(loop.ledger)
    assert (asked.source, asked.challenger) == ("look", "3")
    assert arbitrate.arbitrate("too-early", None) is None
    assert decisions(loop.ledger)[-1].reason == "no labelled batch has come since the last look"

    take_in(loop, range(7, 8))
    last = looked("third")
    assert last["verdict"] in ("REJECT", "PROMOTE"), last
    (verdict,) = [
        judgement.verdict
        for judgement in loop.ledger.all(Judgement)
        if judgement.verdict and judgement.verdict.look == 2
    ]
    assert [ref.batch for ref in verdict.judged_on] == [playground.weeks()[7].batch]
    assert {block.batch for block in verdict.blocks} == {week.batch for week in playground.weeks()[5:8]}
    assert state.open_verdict(loop.ledger.all(Judgement)) is None
    assert loop.registry.in_stage(loop.model, "Staging") == []
    plan = loop.ledger.all(Run)[-1].plan
    assert [ref.batch for ref in plan.train] == [week.batch for week in playground.weeks()[:7]]


def test_what_asks_meanwhile_waits_for_the_challenger_and_a_person_may_force(loop: Loop) -> None:
    asked = Request(
        source="age",
        episode="e",
        reason="old",
        event_time=playground.weeks()[7].end,
        champion="2",
    )
    loop.ledger.append(asked)
    assert arbitrate.arbitrate("woken", None) is None
    assert decisions(loop.ledger)[-1].reason == "version 3 is under judgement and has looks left"
    assert retrained("forced", force=True)["version"] == "4"
    assert (
        loop.ledger.last(Judgement, run_key=loop.ledger.require(Version, "3").run_key).state == "SUPERSEDED"
    )
    assert arbitrate.arbitrate("woken again", None) is None
    reasons = [decision.reason for decision in decisions(loop.ledger)]
    assert "version 3 is no longer under judgement" in reasons
