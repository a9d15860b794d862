"""What belongs to a recipe, and which data contracts its models can read."""

import pytest

from tests.support.builders import shops
from trimtab.contracts import Recipe, from_json, to_json
from trimtab.data.recipes import changes, recipe_of, why_unreadable, with_recipe

NUMBER = {"kind": "number", "nullable": True, "min": 0, "max": 1}
FEATURES = {name: of.model_dump(mode="json") for name, of in shops().data.features.items()}


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("model__seed", 8, "model.seed: 7 -> 8"),
        ("model__settings", {"max_iter": 5}, "model.settings.max_iter: 20 -> 5"),
        ("data__features", FEATURES | {"holiday": NUMBER}, "data.features.holiday: not there -> number"),
    ],
)
def test_a_change_of_what_is_fitted_is_another_recipe_and_says_what_changed(
    key: str, value: object, line: str
) -> None:
    before, after = recipe_of(shops()), recipe_of(shops(**{key: value}))
    assert before != after
    assert line in changes(before, after)
    assert changes(before, before) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"data__features": FEATURES | {"price": FEATURES["price"] | {"max": 1e6}}},
        {"trigger__regret": 0.5},
        {"gate__max_model_mb": 3.0},
    ],
)
def test_bounds_and_limits_are_no_part_of_it(change: dict[str, object]) -> None:
    assert recipe_of(shops(**change)) == recipe_of(shops())


def test_a_recipe_keeps_the_order_of_its_features_as_json_and_gives_its_own_parameters_back() -> None:
    ours = shops(data__features=dict(reversed(FEATURES.items())), model__seed=11)
    recipe = from_json(Recipe, to_json(recipe_of(ours)))
    used = with_recipe(shops(), recipe)
    assert (list(used.data.features), used.model.seed) == (list(reversed(FEATURES)), 11)
    assert recipe_of(used) == recipe == recipe_of(ours)
    assert with_recipe(used, None) is used


def test_a_recipe_of_fewer_features_is_readable_and_its_slices_are_those_it_has() -> None:
    fewer = {name: of for name, of in FEATURES.items() if name != "shop"}
    old, present = recipe_of(shops(data__features=fewer, gate__slices=[])), shops()
    assert why_unreadable(old, present.data) is None
    assert with_recipe(present, old).gate.slices == []
    assert list(with_recipe(present, old).data.features) == list(fewer)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"data__features": {name: of for name, of in FEATURES.items() if name != "price"}},
            "it needs the feature price, which data.features does not have",
        ),
        (
            {
                "data__features": FEATURES
                | {"price": {"kind": "category", "nullable": False, "categories": ["a"]}}
            },
            "its feature price is a number, in data.features it is a category",
        ),
        (
            {"data__label": {"kind": "multiclass", "classes": ["late", "early"]}},
            "its label is kind binary, data.label is kind multiclass, classes ['late', 'early']",
        ),
    ],
)
def test_a_contract_that_its_models_cannot_read_is_named(change: dict[str, object], sentence: str) -> None:
    assert why_unreadable(recipe_of(shops()), shops(**change).data) == sentence
