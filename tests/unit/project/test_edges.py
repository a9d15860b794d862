"""What the data contract allows at its edges, a model must be able to predict for."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

from tests.support.builders import sales, shops
from trimtab import params
from trimtab.project.edges import fault
from trimtab.train.features import encoder
from trimtab.train.fit import build, fit

SHOP, PRICE, NOISE = range(3)
"""Columns of the encoded features."""


def test_the_shipped_estimator_can_predict_at_all_edges() -> None:
    parameters = shops()
    assert fault(fit(build(parameters), parameters, sales()), parameters, sales().iloc[0]) is None


def logistic(nullable: bool) -> params.Params:
    parameters = shops(model__estimator="sklearn.linear_model.LogisticRegression", model__settings={})
    price = parameters.data.features["price"].model_copy(update={"nullable": nullable})
    features = {"price": price, "noise": parameters.data.features["noise"]}
    return parameters.model_copy(update={"data": parameters.data.model_copy(update={"features": features})})


def test_an_estimator_that_rejects_nulls_is_stopped_if_the_contract_allows_them() -> None:
    parameters = logistic(nullable=True)
    said = fault(fit(build(parameters), parameters, sales()), parameters, sales().iloc[0])
    assert said is not None
    assert said.startswith(
        "it cannot predict for rows that the data contract allows: ValueError: Input X contains NaN"
    )


def test_it_passes_if_the_contract_allows_none() -> None:
    parameters = logistic(nullable=False)
    assert fault(fit(build(parameters), parameters, sales()), parameters, sales().iloc[0]) is None


class Fragile(ClassifierMixin, BaseEstimator):
    """An estimator that predicts NaN where one column has one value."""

    def __init__(self, column: int, value: float) -> None:
        self.column, self.value = column, value

    def fit(self, features: pd.DataFrame, labels: object) -> "Fragile":
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        column = np.asarray(features)[:, self.column]
        breaks = np.isnan(column) if np.isnan(self.value) else column == self.value
        chance = np.where(breaks, np.nan, 0.5)
        return np.column_stack([1 - chance, chance])


@lru_cache(maxsize=1)
def example() -> pd.Series:
    return sales().assign(shop="north", price=50.0, noise=0.0).iloc[0]


@pytest.mark.parametrize(
    ("column", "value", "edges"),
    [
        (PRICE, 0.0, "price at its minimum, all minima"),
        (PRICE, 100.0, "price at its maximum"),
        (PRICE, np.nan, "price at null, all nulls"),
        (NOISE, -10.0, "noise at its minimum, all minima"),
        (NOISE, 10.0, "noise at its maximum"),
        (SHOP, np.nan, "shop at an undeclared category, shop at null, all nulls"),
    ],
)
def test_each_edge_at_which_predictions_are_invalid_is_named(column: int, value: float, edges: str) -> None:
    parameters = shops()
    pipeline = Pipeline([("encode", encoder(parameters.data)), ("estimator", Fragile(column, value))])
    said = fault(fit(pipeline, parameters, sales()), parameters, example())
    assert said == f"its predictions are not valid for {edges}"


def test_a_value_that_the_contract_does_not_allow_is_no_edge() -> None:
    parameters = shops()
    pipeline = Pipeline([("encode", encoder(parameters.data)), ("estimator", Fragile(NOISE, np.nan))])
    assert fault(fit(pipeline, parameters, sales()), parameters, example()) is None
