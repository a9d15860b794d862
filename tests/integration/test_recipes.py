"""A commit that changes the model or the data contract: its recipe races, and leads when it has proven to be better."""

import pytest

from tests.support import playground
from tests.support.moments import SMALL, Site
from tests.support.playground import answered, monitored, push, take_in
from trimtab.errors import OrderRefused
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import Measurement, Observation, RecipeEntry, Shadow, Version, Wait
from trimtab.ledger.queries import waiting_requests
from trimtab.loop import ingest, orders
from trimtab.loop.loop import Loop, open_loop
from trimtab.trigger.standing import Standing, standing
from trimtab.views import history

GOOD, POOR = SMALL["model__settings"], {**SMALL["model__settings"], "max_iter": 2}
SHORT = {"race__trial_batches": 7}


def now() -> Standing:
    loop = open_loop()
    return standing(loop.ledger, loop.params)


def with_champion(loop: Loop, weeks: int) -> Loop:
    take_in(loop, range(weeks))
    monitored("monitor-first")
    assert answered("first")["action"] == "DEPLOY"
    return loop


def batches_of(loop: Loop, candidate: str) -> list[str]:
    return [shadow.batch for shadow in loop.ledger.all(Shadow, candidate=candidate)]


def test_a_better_recipe_leads_once_it_has_proven_that_and_is_deployed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = with_champion(site.empty(monkeypatch, "poor recipe", model__settings=POOR, **SHORT), weeks=8)
    weeks = [week.batch for week in playground.weeks()]
    champion = loop.champion().run_id

    push(loop, model__settings=GOOD)
    monitored("monitor-commit")
    assert [entry.number for entry in loop.ledger.all(RecipeEntry)] == [1, 2]
    assert loop.ledger.require(RecipeEntry, "2").changes == ("model.settings.max_iter: 2 -> 30",)
    assert (now().leading, now().on_trial) == ("all", 2)
    assert batches_of(loop, "all, recipe 2") == weeks[1:8], "fitted after the fact on the newest batches"

    take_in(loop, [8])
    monitored("monitor-next")
    assert (now().leading, now().on_trial) == ("all, recipe 2", None)
    assert batches_of(loop, "all")[-1] == weeks[8]
    take_in(loop, [9])
    monitored("monitor-after")
    assert batches_of(loop, "all")[-1] == weeks[8], "the recipe that lost the lead is fitted no more"
    newest = loop.ledger.all(Measurement)[-1]
    shadow = loop.ledger.all(Shadow, batch=weeks[8], candidate="all, recipe 2")[0].training.run_id
    assert newest.scores.keys() == {BASELINE, champion, shadow}
    outcome = answered("regret")
    assert outcome["action"] == "DEPLOY"
    assert loop.ledger.require(Version, outcome["version"]).candidate == "all, recipe 2"
    entered, led = [entry.text for entry in history.history() if entry.what == "recipe"]
    assert "model.settings.max_iter: 2 -> 30" in entered
    assert "recipe 2 leads the race" in led


def test_a_worse_recipe_leaves_after_its_trial_unless_a_person_adopts_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = with_champion(site.empty(monkeypatch, "good recipe", **SHORT), weeks=8)
    push(loop, model__settings=POOR)
    for number in (8, 9):
        take_in(loop, [number])
        monitored(f"monitor-{number}")
    assert (now().leading, now().on_trial) == ("all", None)
    weeks = [week.batch for week in playground.weeks()]
    assert batches_of(loop, "all, recipe 2") == weeks[2:10]
    take_in(loop, [10])
    monitored("monitor-10")
    assert batches_of(loop, "all, recipe 2") == weeks[2:10], "the trial is over"
    assert batches_of(loop, "all")[-1] == weeks[10], "the recipe of the commit before is fitted on"
    assert loop.ledger.all(Shadow)[-1].training.recipe.settings["max_iter"] == 30

    with pytest.raises(OrderRefused, match=r"Expected a recipe that entered the race \(1, 2\), got recipe 3"):
        orders.adopt(3, actor="eve", reason="a try")
    assert orders.adopt(2, actor="eve", reason="it is cheaper") == "recipe 2 leads by eve: it is cheaper"
    assert now().leading == "all, recipe 2"
    monitored("monitor-adopted")
    assert batches_of(loop, "all, recipe 2")[-1] == weeks[10]


def test_a_feature_that_is_dropped_and_one_that_is_added_stop_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = with_champion(site.empty(monkeypatch, "good recipe for a contract", **SHORT), weeks=7)
    features = {name: of.model_dump(mode="json") for name, of in loop.params.data.features.items()}
    del features["temp"]
    features["holiday"] = {"kind": "number", "nullable": True, "min": 0, "max": 1}
    push(loop, data__features=features)
    week = playground.weeks()[7]
    frame = playground.thin(week).drop(columns="temp").assign(holiday=0.0)
    playground.land(loop.stores.landing, week.batch, frame, week)
    assert ingest.ingest(week.batch)["outcome"] == "ingested"

    monitored("monitor-contract")
    assert now().leading == "all, recipe 2"
    (request,) = waiting_requests(loop.ledger)
    assert request.source == "first"
    assert "it needs the feature temp, which data.features does not have" in request.reason
    assert loop.ledger.all(Observation)[-1].batch == week.batch, "data drift is measured on"
    outcome = answered("contract")
    assert outcome is not None and outcome["action"] == "DEPLOY", loop.ledger.all(Wait)[-1].reason
    version = loop.ledger.require(Version, outcome["version"])
    assert version.candidate == "all, recipe 2"
    assert [feature.name for feature in version.training.recipe.features][-1] == "holiday"
