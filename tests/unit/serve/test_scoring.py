"""Answers without a frame are the model's own, to the bit; where they could not be, the frame is taken."""

import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from tests.support.builders import CLASSES, VALUE, sales, shops
from trimtab import params
from trimtab.serve.scoring import FrameScorer, sample, scorer
from trimtab.train import fit

BOOSTED = {"max_iter": 15, "min_samples_leaf": 10, "early_stopping": False}
FOREST = {"n_estimators": 5, "min_samples_leaf": 5}
KINDS = {
    "binary": {},
    "multiclass": {"data__label": CLASSES.model_dump()},
    "regression": {"data__label": VALUE.model_dump(), "gate__metric": "squared_error"},
}


def labelled(parameters: params.Params) -> pd.DataFrame:
    """Sales with labels of the wanted kind, and gaps."""
    frame = sales(600)
    if isinstance(parameters.data.label, params.Multiclass):
        frame["label"] = pd.cut(frame["price"], [-1, 30, 60, 101], labels=CLASSES.classes).astype(object)
    if isinstance(parameters.data.label, params.Regression):
        frame["label"] = (frame["price"] / 2 + frame["noise"]).clip(0, 100)
    frame.loc[::7, "price"] = np.nan
    frame.loc[::5, "shop"] = None
    return frame


def model(kind: str, estimator: str, settings: dict[str, object]) -> tuple[params.Params, Pipeline]:
    name = "Regressor" if kind == "regression" else "Classifier"
    parameters = shops(
        model__estimator=f"sklearn.ensemble.{estimator}{name}", model__settings=settings, **KINDS[kind]
    )
    return parameters, fit.fit(fit.build(parameters), parameters, labelled(parameters))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("estimator", "settings"),
    [("HistGradientBoosting", BOOSTED), ("RandomForest", FOREST), ("ExtraTrees", FOREST)],
)
def test_the_fast_way_answers_as_the_model_does(kind, estimator, settings):
    parameters, pipeline = model(kind, estimator, settings)
    scorer_ = scorer(pipeline, parameters)
    assert scorer_.fast
    rows = sample(parameters.data, 3000, seed=1)
    expected = FrameScorer(pipeline, parameters).answers(rows)
    assert np.array_equal(scorer_.answers(rows), expected)
    for place in range(5):
        assert np.array_equal(scorer_.answers(rows[place : place + 1]), expected[place : place + 1])


def test_more_trees_than_rows_fit_at_once_answer_as_the_model_does():
    parameters, pipeline = model("multiclass", "HistGradientBoosting", {**BOOSTED, "max_iter": 40})
    rows = sample(parameters.data, 600, seed=2)
    assert np.array_equal(
        scorer(pipeline, parameters).answers(rows), FrameScorer(pipeline, parameters).answers(rows)
    )


def test_categories_that_training_never_saw_are_taken_for_missing():
    parameters = shops(
        data__features={
            "shop": {"kind": "category", "nullable": True, "categories": ["east", "north", "south", "west"]},
            "price": {"kind": "number", "nullable": True, "min": 0.0, "max": 100.0},
            "noise": {"kind": "number", "nullable": False, "min": -10.0, "max": 10.0},
        }
    )
    pipeline = fit.fit(fit.build(parameters), parameters, sales(400))
    scorer_ = scorer(pipeline, parameters)
    rows = [
        {"shop": shop, "price": 50.0, "noise": 0.0} for shop in ("east", "north", "south", "west", None, "?")
    ]
    assert scorer_.fast
    assert np.array_equal(scorer_.answers(rows), FrameScorer(pipeline, parameters).answers(rows))


def test_a_model_of_numbers_only_is_answered_too():
    parameters = shops(
        data__features={"price": {"kind": "number", "nullable": True, "min": 0.0, "max": 100.0}}
    )
    pipeline = fit.fit(fit.build(parameters), parameters, sales(400))
    scorer_ = scorer(pipeline, parameters)
    assert scorer_.fast
    assert np.array_equal(
        scorer_.answers([{"price": None}]), FrameScorer(pipeline, parameters).answers([{"price": None}])
    )


def test_a_pipeline_of_another_form_is_answered_through_a_frame(caplog):
    parameters = shops()
    frame = sales(300)
    inner = fit.build(parameters)
    scaled = Pipeline([("same", FunctionTransformer()), *inner.steps])
    fit.fit(scaled, parameters, frame)
    assert scorer(fit.fit(inner, parameters, frame), parameters).fast
    odd = Pipeline([inner.steps[0], ("scale", StandardScaler()), inner.steps[1]])
    fit.fit(odd, parameters, frame)
    with caplog.at_level(logging.WARNING):
        scorer_ = scorer(odd, parameters)
    assert not scorer_.fast
    assert "those of the fast scorer differ" in caplog.text
    rows = sample(parameters.data, 50, seed=3)
    assert np.array_equal(scorer_.answers(rows), FrameScorer(odd, parameters).answers(rows))


def test_a_sample_holds_missing_and_undeclared_values():
    rows = sample(shops().data, 500, seed=0)
    assert {row["shop"] for row in rows} == {"north", "south", None, "\N{REPLACEMENT CHARACTER}"}
    assert any(row["price"] is None for row in rows)
    assert all(-10 <= row["noise"] <= 10 for row in rows)
