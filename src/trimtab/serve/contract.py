"""What clients may send while one version answers, and what they get: by its data contract and by the recipes around it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from trimtab.contracts import Recipe, RecipeFeature
from trimtab.params import Data, Label, Params
from trimtab.serve import openapi
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.request_types import feedback_body, row_type
from trimtab.serve.responses import response_fields
from trimtab.serve.row_checker import RowChecker

_LABEL: TypeAdapter[Label] = TypeAdapter(Label)
_LARGEST = 1e300
"""No label comes near it, and twice it is still a number."""


class Contract:
    """Checks requests, and describes requests and responses.

    A row needs the features of the version, and may have those of the other recipes, so that clients can send a new field
    before a deployment and an old one after it. An outcome may have the label of any of them.

    Args:
        params: The parameters of the version.
        recipes: The other recipes. Where two declare the same feature, the first one counts.
        max_rows: Largest number of rows, or outcomes, of a request.
        secured: Whether clients need a token.
    """

    def __init__(self, params: Params, recipes: Sequence[Recipe], max_rows: int, *, secured: bool) -> None:
        self._params, self._secured = params, secured
        self._optional = optional_features(params.data, recipes)
        labels = [params.data.label]
        for label in (_label(recipe, params.data.label) for recipe in recipes):
            labels += [label] if label not in labels else []
        self.rows = RowChecker(params.data, max_rows, self._optional)
        self.outcomes = feedback_body(labels, max_rows)
        self.fields = response_fields(params.data.label)

    @cached_property
    def row_schema(self) -> dict[str, Any]:
        """The JSON Schema of a row."""
        return TypeAdapter(row_type(self._params.data, self._optional)).json_schema()

    @cached_property
    def document(self) -> openapi.Schema:
        """The OpenAPI document."""
        return openapi.document(self._params, self.rows.body, self.outcomes, secured=self._secured)


class Contracts:
    """Keeps the contract of the version that answers, and makes another one when the version or the recipes change."""

    def __init__(self, champion: ModelHolder, params: Params, metrics: Metrics, *, secured: bool) -> None:
        self._champion, self._params, self._metrics, self._secured = champion, params, metrics, secured
        self._newest: tuple[Serving | None, tuple[Recipe, ...], Contract] | None = None

    def of(self, serving: Serving | None) -> Contract:
        """Return the contract of a version; without one, that of the service's parameters."""
        recipes, newest = self._champion.recipes, self._newest
        if newest is not None and newest[0] is serving and newest[1] is recipes:
            return newest[2]
        params = serving.params if serving else self._params
        contract = Contract(params, recipes, self._params.serve.max_rows, secured=self._secured)
        self._metrics.declare(params.data)
        self._newest = serving, recipes, contract
        return contract


def _label(recipe: Recipe, own: Label) -> Label:
    """Return the label of a recipe; its bounds are those of the version that answers, or none if that has no number."""
    if recipe.label["kind"] == "regression" == own.kind:
        return own
    bounds = {"min": -_LARGEST, "max": _LARGEST} if recipe.label["kind"] == "regression" else {}
    return _LABEL.validate_python({**recipe.label, **bounds})


def optional_features(data: Data, recipes: Sequence[Recipe]) -> dict[str, RecipeFeature]:
    """Return the features of recipes that are no features of a data contract."""
    features = [feature for recipe in reversed(recipes) for feature in recipe.features]
    return {feature.name: feature for feature in features if feature.name not in data.features}
