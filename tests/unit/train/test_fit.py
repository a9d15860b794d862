from pathlib import Path

import pandas as pd
import pytest
from skops.io import dump, load

from examples.flights import flights
from tests.support.builders import in_file, sales, shipped, shops
from trimtab.errors import OneClass, ParamsError
from trimtab.train.features import design
from trimtab.train.fit import baseline, build, fit, fit_rows, predict


def test_same_rows_and_seed_give_the_same_predictions() -> None:
    parameters, frame = shops(), sales()
    first, second = (fit(build(parameters), parameters, frame) for _ in range(2))
    assert (predict(first, parameters, frame) == predict(second, parameters, frame)).all()


def test_a_fitted_model_predicts_more_for_high_prices() -> None:
    parameters = shops()
    model = fit(build(parameters), parameters, sales(2000))
    cheap, expensive = predict(model, parameters, sales(2).assign(price=[5.0, 95.0], shop="north", noise=0.0))
    assert cheap < 0.3 < 0.7 < expensive


def test_predictions_of_no_rows_are_empty() -> None:
    parameters = shops()
    assert predict(fit(build(parameters), parameters, sales()), parameters, sales().head(0)).shape == (0,)


def test_the_baseline_predicts_the_frequency_of_the_label() -> None:
    parameters, frame = shops(), sales()
    model = fit(baseline(parameters), parameters, frame)
    assert predict(model, parameters, frame.head(1)) == [pytest.approx(frame["label"].mean())]


def test_rows_in_a_file_and_in_a_frame_give_the_same_model(tmp_path: Path) -> None:
    parameters, frames = shops(), {name: sales(200, seed=number) for number, name in enumerate("abc")}
    rows, frame = in_file(tmp_path, frames), pd.concat(frames.values(), ignore_index=True)
    for unfitted in (build, baseline):
        first, second = fit_rows(unfitted(parameters), parameters, rows), fit(
            unfitted(parameters), parameters, frame
        )
        assert (predict(first, parameters, frame) == predict(second, parameters, frame)).all()
        assert first.n_features_in_ == second.n_features_in_ == 3
        assert first.named_steps["estimator"].n_features_in_ == 3


def test_labels_of_one_class_in_a_file_are_refused(tmp_path: Path) -> None:
    parameters = shops()
    rows = in_file(tmp_path, {name: sales(30).assign(label=1) for name in "ab"})
    for unfitted in (build, baseline):
        with pytest.raises(OneClass, match="60 rows hold 1 only"):
            fit_rows(unfitted(parameters), parameters, rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model__estimator": "sklearn.nowhere.Model"}, "model.estimator: should be the import path"),
        (
            {"model__estimator": "sklearn.linear_model.LinearRegression"},
            "model.estimator: should be a classifier with predict_proba",
        ),
        ({"model__settings": {"trees": 3}}, "model.settings: .*unexpected keyword argument 'trees'"),
        ({"gate__baseline": "sklearn.dummy.Nothing"}, "gate.baseline: should be the import path"),
    ],
)
def test_a_wrong_estimator_is_an_error_that_names_the_key(change: dict[str, object], message: str) -> None:
    parameters = shops(**change)
    with pytest.raises(ParamsError, match=f"params.yaml: {message}"):
        baseline(parameters) if "gate__baseline" in change else build(parameters)


def test_an_estimator_that_rejects_missing_values_is_an_error() -> None:
    parameters = shops(model__estimator="sklearn.linear_model.LogisticRegression", model__settings={})
    frame = sales()
    with pytest.raises(ParamsError, match="contains NaN"):
        fit(build(parameters), parameters, frame.assign(price=frame["price"].where(frame.index > 0)))


def test_a_feature_without_any_value_tells_the_model_nothing_and_stops_no_fit() -> None:
    parameters, frame = shops(), sales()
    empty = frame.assign(price=None, shop=None)
    model = fit(build(parameters), parameters, empty)
    assert (predict(model, parameters, empty) == predict(model, parameters, frame)).all()


def test_the_shipped_model_predicts_the_same_to_the_bit_when_it_is_loaded(tmp_path: Path) -> None:
    parameters = shipped()
    rows = next(flights.weeks()).rows
    frame = rows[rows["label"].notna()].head(1500)
    model = fit(build(parameters), parameters, frame)
    dump(model, tmp_path / "model.skops")
    loaded = load(tmp_path / "model.skops", trusted=parameters.model.trusted_types)
    features = design(frame, parameters.data)
    assert (loaded.predict_proba(features) == model.predict_proba(features)).all()


def test_the_estimator_may_be_a_random_forest() -> None:
    parameters = shops(
        model__estimator="sklearn.ensemble.RandomForestClassifier", model__settings={"n_estimators": 5}
    )
    model = fit(build(parameters), parameters, sales())
    assert len(predict(model, parameters, sales(7))) == 7


def of_label(**label: object) -> dict[str, object]:
    metric = "squared_error" if label["kind"] == "regression" else "log_loss"
    return {"data__label": label, "gate__metric": metric}


def test_each_class_gets_a_probability_in_declared_order() -> None:
    parameters = shops(**of_label(kind="multiclass", classes=["expensive", "cheap", "free"]))
    frame = sales(600)
    frame["label"] = ["expensive" if price > 50 else "cheap" for price in frame["price"].fillna(0)]
    model = fit(build(parameters), parameters, frame)
    probabilities = predict(model, parameters, frame.assign(price=90.0).head(2))
    assert probabilities.shape == (2, 3)
    assert probabilities.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert (probabilities[:, 0] > 0.9).all()
    assert probabilities[:, 2].tolist() == [0.0, 0.0]
    assert predict(model, parameters, frame.head(0)).shape == (0, 3)


def test_a_regressor_predicts_a_value() -> None:
    parameters = shops(
        **of_label(kind="regression", min=0.0, max=200.0),
        model__estimator="sklearn.ensemble.HistGradientBoostingRegressor",
        gate__baseline="sklearn.dummy.DummyRegressor",
    )
    frame = sales(600)
    frame["label"] = 2 * frame["price"].fillna(0.0)
    model = fit(build(parameters), parameters, frame)
    assert predict(model, parameters, frame.assign(price=50.0).head(1)) == [pytest.approx(100, abs=5)]
    assert predict(model, parameters, frame.head(0)).shape == (0,)
    mean = fit(baseline(parameters), parameters, frame)
    assert predict(mean, parameters, frame.head(1)) == [pytest.approx(frame["label"].mean())]


@pytest.mark.parametrize("key", ["model__estimator", "gate__baseline"])
def test_a_classifier_is_refused_for_a_regression(key: str) -> None:
    parameters = shops(
        **of_label(kind="regression", min=0.0, max=1.0), **{key: "sklearn.dummy.DummyClassifier"}
    )
    message = rf"{key.replace('__', '.')}: should be a regressor \(data.label.kind is regression\)"
    with pytest.raises(ParamsError, match=message):
        build(parameters) if key == "model__estimator" else baseline(parameters)


def test_a_model_of_another_kind_of_label_does_not_predict() -> None:
    model = fit(build(shops()), shops(), sales())
    with pytest.raises(ParamsError, match="data.label.kind: should be the kind .*, got 'a classifier'"):
        predict(model, shops(**of_label(kind="regression", min=0.0, max=1.0)), sales(3))


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_class_are_refused(label: int) -> None:
    frame = sales(50)
    frame["label"] = pd.array([label] * 50, dtype="Int64")
    with pytest.raises(OneClass, match=f"at least two classes, 50 rows hold {label} only"):
        fit(build(shops()), shops(), frame)
