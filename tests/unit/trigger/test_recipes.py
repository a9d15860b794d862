"""Which recipe leads and which one is on trial, on facts without models."""

from dataclasses import replace

import pytest

from tests.support.builders import shipped
from tests.support.ledger import batch
from tests.unit.trigger.test_standing import end, measurement, moves
from trimtab.contracts import Recipe
from trimtab.data.recipes import recipe_of
from trimtab.evaluate.race import next_leader
from trimtab.ledger import Ledger, Order, RecipeEntry
from trimtab.trigger.recipes import new_entry
from trimtab.trigger.standing import Standing, standing

PRESENT = recipe_of(shipped())
OTHER = replace(PRESENT, seed=PRESENT.seed + 1)
UNREADABLE = replace(PRESENT, features=(replace(PRESENT.features[0], name="tail"), *PRESENT.features[1:]))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger("sqlite://", "demand")
    ledger.migrate()
    return ledger


def enter(ledger: Ledger, *recipes: Recipe, week: int = 0) -> None:
    entered = len(ledger.all(RecipeEntry))
    for number, recipe in enumerate(recipes, start=entered + 1):
        ledger.append(RecipeEntry(number=number, recipe=recipe, commit="c", changes=(), event_time=end(week)))


def now(ledger: Ledger) -> Standing:
    return standing(ledger, shipped())


def champion(ledger: Ledger) -> None:
    ledger.append(batch(0), measurement(0, {"baseline": 0.6}))
    moves(ledger, "1", "promote", 0)


def test_the_first_recipe_leads_and_a_new_one_is_on_trial_for_some_batches(ledger: Ledger) -> None:
    champion(ledger)
    enter(ledger, OTHER)
    assert (now(ledger).leading, now(ledger).on_trial, now(ledger).racing) == ("all", None, [1])
    enter(ledger, PRESENT)
    for week in range(1, shipped().race.trial_batches - 6 + 1):
        assert (now(ledger).leading, now(ledger).on_trial, now(ledger).racing) == ("all", 2, [1, 2])
        ledger.append(batch(week), measurement(week, {"baseline": 0.6}))
    assert (now(ledger).leading, now(ledger).on_trial, now(ledger).racing) == ("all", None, [1])


def test_while_there_is_no_champion_a_new_recipe_leads_at_once(ledger: Ledger) -> None:
    enter(ledger, OTHER, PRESENT)
    assert (now(ledger).leading, now(ledger).on_trial) == ("all, recipe 2", None)


def test_a_recipe_that_cannot_read_the_data_contract_gives_way_at_once(ledger: Ledger) -> None:
    champion(ledger)
    enter(ledger, UNREADABLE, PRESENT)
    assert (now(ledger).leading, now(ledger).on_trial) == ("all, recipe 2", None)


def test_a_commit_that_goes_back_to_the_leading_recipe_ends_the_trial(ledger: Ledger) -> None:
    champion(ledger)
    enter(ledger, PRESENT, OTHER)
    assert (now(ledger).leading, now(ledger).on_trial) == ("all", None)
    assert now(ledger).present == ledger.all(RecipeEntry)[0]


def test_a_person_adopts_a_recipe_until_the_next_measurement_says_who_leads(ledger: Ledger) -> None:
    champion(ledger)
    enter(ledger, OTHER, PRESENT)
    ledger.append(
        Order(verb="adopt", version=None, recipe=2, actor="eve", reason="cheaper", event_time=end(0))
    )
    assert (now(ledger).leading, now(ledger).on_trial) == ("all, recipe 2", None)
    ledger.append(batch(1), measurement(1, {"baseline": 0.6}, leader="newest 8, recipe 2"))
    assert now(ledger).leading == "newest 8, recipe 2"


def test_a_recipe_that_was_left_behind_enters_once_more(ledger: Ledger) -> None:
    champion(ledger)
    assert now(ledger).present is None
    enter(ledger, OTHER, PRESENT)
    assert now(ledger).present == ledger.all(RecipeEntry)[1]
    enter(ledger, OTHER)
    assert now(ledger).present is None


def test_an_entry_says_what_changed_since_the_one_before() -> None:
    first = new_entry([], OTHER, "c", end(0))
    assert (first.number, first.changes) == (1, ())
    second = new_entry([first], PRESENT, "d", end(1))
    assert (second.number, second.changes) == (2, (f"model.seed: {OTHER.seed} -> {PRESENT.seed}",))


def test_a_recipe_takes_the_lead_only_on_trial_and_with_enough_batches() -> None:
    from tests.support.scored import scored

    both = ("all", "all, recipe 2")
    record = [
        scored(number, dict(zip(both, (0.5, 0.4), strict=True)), candidates=both) for number in range(1, 8)
    ]
    assert next_leader(record, "all", shipped(), on_trial=2) == "all, recipe 2"
    assert next_leader(record, "all", shipped()) == "all"
    assert next_leader(record[:5], "all", shipped(), on_trial=2) == "all"
