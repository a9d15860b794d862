"""A client may send a new field before the deployment of its recipe, and the old one after it."""

from dataclasses import replace
from functools import lru_cache

import jsonschema
import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from tests.support.builders import CLASSES, VALUE, sales, shops
from tests.support.waiting import until
from tests.unit.serve.shelf import NOON, ROW, WANTED, Log, client_of
from trimtab.contracts import ModelVersion, Recipe
from trimtab.data.recipes import recipe_of
from trimtab.params import Params
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.predicting import held_back
from trimtab.serve.scoring import scorer
from trimtab.train.fit import build, fit

AGE = {"kind": "number", "nullable": False, "min": 0.0, "max": 120.0}
FEATURES = {name: feature.model_dump() for name, feature in WANTED.data.features.items() if name != "price"}
LATER = shops(data__features={**FEATURES, "age": AGE})
"""The contract without `price`, and with `age`."""
NEW = {**ROW, "age": 30}
KNOWN_AT = "2026-01-06T00:00:00Z"


@lru_cache
def served(later: bool) -> Serving:
    """The version before the change of the contract, or the one after it."""
    params = LATER if later else WANTED
    pipeline = fit(build(params), params, sales().assign(age=30.0))
    version = ModelVersion(
        version="2" if later else "1",
        run_id="r",
        source="s",
        digest="d",
        trained_through=NOON,
        recipe=recipe_of(params),
    )
    ready = scorer(pipeline, params)
    return Serving(version=version, scorer=ready, params=params, commit=None, batches={})


class Recipes:
    """The recipes that a ledger would tell of, and a version in Production, as a test says."""

    def __init__(self, *recipes: Recipe) -> None:
        self.recipes, self.serving = recipes, served(later=False)
        self.holder = ModelHolder(
            find=lambda: self.serving.version,
            prepare=lambda _: self.serving,
            find_recipes=lambda: self.recipes,
        )
        self.holder.refresh()

    def deploy(self) -> None:
        """Promote the later version; the former champion has the recipe before."""
        self.recipes, self.serving = (recipe_of(LATER), recipe_of(WANTED)), served(later=True)
        self.holder.refresh()


@pytest.fixture
def champion() -> Recipes:
    return Recipes(recipe_of(LATER))


@pytest.fixture
def client(champion: Recipes, log: Log) -> FlaskClient:
    return client_of(champion.holder, log)


def fields_refused(client: FlaskClient, row: dict[str, object]) -> list[str]:
    answer = client.post("/predict", json={"row": row})
    return [fault["field"] for fault in answer.json["faults"]] if answer.status_code == 422 else []


def always(serving: Serving) -> ModelHolder:
    holder = ModelHolder(find=lambda: serving.version, prepare=lambda _: serving)
    holder.refresh()
    return holder


def test_a_field_of_the_recipe_to_come_is_logged_and_changes_no_prediction(client, log):
    (with_age,) = client.post("/predict", json={"row": NEW}).json["predictions"]
    (without,) = client.post("/predict", json={"row": ROW}).json["predictions"]
    assert (with_age["version"], with_age["probability"]) == ("1", without["probability"])
    assert (
        dict(log.find("flight-delay", [with_age["prediction_id"]])[with_age["prediction_id"]].features) == NEW
    )


@pytest.mark.parametrize("age", [None, -7, 1e300])
def test_such_a_field_may_be_null_or_out_of_range(client, age):
    assert fields_refused(client, {**NEW, "age": age}) == []


@pytest.mark.parametrize("age", ["30", True, [30]])
def test_such_a_field_of_another_kind_is_a_fault(client, age):
    answer = client.post("/predict", json={"rows": [ROW, {**NEW, "row_id": "b", "age": age}]})
    (fault,) = answer.json["faults"]
    assert (fault["row"], fault["field"], fault["expected"]) == (1, "age", "a number, or null")


def test_a_field_of_no_recipe_is_a_fault_in_a_row_that_lacks_optional_ones_too(client):
    assert fields_refused(client, {**ROW, "color": "red"}) == ["color"]
    assert fields_refused(client, {**NEW, "color": "red"}) == ["color"]


def test_after_the_deployment_the_new_field_is_required_and_the_old_one_is_optional(client, champion):
    champion.deploy()
    assert fields_refused(client, NEW) == []
    assert fields_refused(client, {name: value for name, value in NEW.items() if name != "price"}) == []
    assert fields_refused(client, ROW) == ["age"]
    assert fields_refused(client, {**NEW, "age": 121}) == ["age"]
    assert fields_refused(client, {**NEW, "price": "10"}) == ["price"]
    (prediction,) = client.post("/predict", json={"row": NEW}).json["predictions"]
    assert prediction["version"] == "2"
    assert (
        'trimtab_refused_inputs_total{feature="age",model="flight-delay"} 2.0' in client.get("/metrics").text
    )


def test_a_recipe_that_enters_while_the_service_runs_is_followed(log):
    champion = Recipes()
    client = client_of(champion.holder, log)
    assert fields_refused(client, NEW) == ["age"]
    champion.recipes = (recipe_of(LATER),)
    champion.holder.refresh()
    assert fields_refused(client, NEW) == []


def test_schema_and_document_follow_the_champion(client, champion):
    for row, sound in ((ROW, True), (NEW, True), ({**NEW, "age": "x"}, False), ({**ROW, "color": 1}, False)):
        schema = client.get("/model").json["row"]
        assert jsonschema.Draft202012Validator(schema).is_valid(row) is sound
    champion.deploy()
    assert not jsonschema.Draft202012Validator(client.get("/model").json["row"]).is_valid(ROW)
    document = client.get("/openapi.json").json
    validate(document)
    assert document["components"]["schemas"]["Row"]["required"] == [
        "row_id",
        "event_time",
        "shop",
        "noise",
        "age",
    ]


def test_the_challenger_predicts_only_rows_that_have_its_features(champion, log):
    parameters = shops(serve__max_rows=50, serve__shadow_rows=100)
    client = client_of(champion.holder, log, parameters, shadow=always(served(later=True)))
    dropped = 'trimtab_shadow_dropped_total{model="flight-delay"} '
    for row in (ROW, {**NEW, "age": None}):
        assert client.post("/predict", json={"row": row}).status_code == 200
    assert dropped + "2.0" in client.get("/metrics").text
    assert client.post("/predict", json={"row": NEW}).status_code == 200
    until(lambda: log.count()[0] == 4, "the challenger's prediction", seconds=30)
    assert dropped + "2.0" in client.get("/metrics").text


def test_the_former_champion_answers_only_rows_that_have_its_features(champion, log):
    champion.deploy()
    parameters = shops(serve__max_rows=500, serve__holdback_share=0.25)
    client = client_of(champion.holder, log, parameters, holdback=always(served(later=False)))
    rows = [{**NEW, "row_id": str(number)} for number in range(40)]
    held = {row["row_id"] for row in rows if held_back(row["row_id"], 0.25)}
    assert held

    def by_former(rows: list[dict[str, object]]) -> set[str]:
        answer = client.post("/predict", json={"rows": rows})
        return {each["row_id"] for each in answer.json["predictions"] if each["version"] == "1"}

    assert by_former(rows) == held
    assert by_former([{name: row[name] for name in row if name != "price"} for row in rows]) == set()


def relabelled(params: Params, label: dict[str, object]) -> Recipe:
    return replace(recipe_of(params), label=label)


@pytest.mark.parametrize(
    ("label", "accepted", "expected"),
    [
        (CLASSES, [0, 1, "low"], "0 or 1; or one of low, middle, high"),
        (VALUE, [0, 1, 12.5], "0 or 1; or a number between -1e+300 and 1e+300"),
    ],
)
def test_an_outcome_may_have_the_label_of_the_recipe_to_come(log, label, accepted, expected):
    client = client_of(Recipes(relabelled(WANTED, label.model_dump(mode="json"))).holder, log)
    items = [
        {"row_id": str(number), "label": value, "label_known_at": KNOWN_AT}
        for number, value in enumerate(accepted)
    ]
    assert client.post("/feedback", json={"items": items}).json == {"received": 3, "new": 3}
    refused = client.post("/feedback", json={"item": {**items[0], "label": "none"}}).json["faults"]
    assert refused == [{"row": 0, "field": "label", "expected": expected, "got": "none"}]
    validate(client.get("/openapi.json").json)
