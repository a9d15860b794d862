"""Recipes: what one model was fitted by, so that it can be fitted, scored and served after `params.yaml` has changed."""

from typing import Any

from trimtab.contracts import Recipe, RecipeFeature
from trimtab.params import Category, Data, Feature, Params


def recipe_of(params: Params) -> Recipe:
    """Return the recipe of these parameters. The bounds of numbers are no part of it: they only refuse rows."""
    return Recipe(
        estimator=params.model.estimator,
        settings=params.model.settings,
        seed=params.model.seed,
        features=tuple(
            RecipeFeature(name=name, categories=tuple(of.categories) if isinstance(of, Category) else None)
            for name, of in params.data.features.items()
        ),
        label=_label(params.data),
    )


def with_recipe(params: Params, recipe: Recipe | None) -> Params:
    """Return the parameters with the estimator and the features of a recipe; None changes nothing.

    The recipe has to be readable, see `why_unreadable`.
    """
    if recipe is None or recipe == recipe_of(params):
        return params
    features = {feature.name: _feature(params.data, feature) for feature in recipe.features}
    model = {"estimator": recipe.estimator, "settings": dict(recipe.settings), "seed": recipe.seed}
    data = params.data.model_copy(update={"features": features})
    slices = [name for name in params.gate.slices if name in data.categories]
    return params.model_copy(
        update={
            "model": params.model.model_copy(update=model),
            "data": data,
            "gate": params.gate.model_copy(update={"slices": slices}),
        }
    )


def why_unreadable(recipe: Recipe | None, data: Data) -> str | None:
    """Say why rows of a data contract cannot be read by models of a recipe, None if they can."""
    if recipe is None:
        return None
    label = _label(data)
    if recipe.label != label:
        return f"its label is {_shown(recipe.label)}, data.label is {_shown(label)}"
    for feature in recipe.features:
        declared = data.features.get(feature.name)
        if declared is None:
            return f"it needs the feature {feature.name}, which data.features does not have"
        kind = "number" if feature.categories is None else "category"
        if declared.kind != kind:
            return f"its feature {feature.name} is a {kind}, in data.features it is a {declared.kind}"
    return None


def changes(before: Recipe, after: Recipe) -> tuple[str, ...]:
    """Return what differs between two recipes, a line for each difference."""
    old, new = _flat(before), _flat(after)
    return tuple(
        f"{key}: {old.get(key, 'not there')} -> {new.get(key, 'not there')}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


def _feature(data: Data, feature: RecipeFeature) -> Feature:
    declared = data.features[feature.name]
    if feature.categories is None:
        return declared
    return declared.model_copy(update={"categories": list(feature.categories)})


def _label(data: Data) -> dict[str, Any]:
    return data.label.model_dump(mode="json", exclude={"min", "max"})


def _flat(recipe: Recipe) -> dict[str, Any]:
    return {
        "model.estimator": recipe.estimator,
        "model.seed": recipe.seed,
        **{f"model.settings.{name}": value for name, value in recipe.settings.items()},
        **{
            f"data.features.{each.name}": (
                "number" if each.categories is None else f"category of {', '.join(each.categories)}"
            )
            for each in recipe.features
        },
        "data.features": "in this order: " + ", ".join(each.name for each in recipe.features),
        "data.label": _shown(recipe.label),
    }


def _shown(label: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in label.items())
