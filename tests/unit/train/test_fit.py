from pathlib import Path

import pandas as pd
import pytest
from skops.io import dump, load

from examples.flights import flights
from tests.support.builders import in_file, sales, shipped, shops
from trimtab.errors import OneClass, ParamsError
from trimtab.train.features import design
from trimtab.train.fit import answers, baseline, build, fit, fit_rows, fresh_answers


def test_same_rows_and_seed_give_the_same_predictions() -> None:
    wanted, frame = shops(), sales()
    first, second = (fit(build(wanted), wanted, frame) for _ in range(2))
    assert (answers(first, wanted, frame) == answers(second, wanted, frame)).all()


def test_a_fitted_model_ranks_high_prices_higher() -> None:
    wanted = shops()
    model = fit(build(wanted), wanted, sales(2000))
    cheap, dear = answers(model, wanted, sales(2).assign(price=[5.0, 95.0], shop="north", noise=0.0))
    assert cheap < 0.3 < 0.7 < dear


def test_no_rows_give_no_predictions() -> None:
    wanted = shops()
    assert answers(fit(build(wanted), wanted, sales()), wanted, sales().head(0)).shape == (0,)


def test_the_baseline_predicts_the_share_of_the_label() -> None:
    wanted, frame = shops(), sales()
    model = fit(baseline(wanted), wanted, frame)
    assert answers(model, wanted, frame.head(1)) == [pytest.approx(frame["label"].mean())]


def test_each_reference_batch_is_scored_by_a_model_of_the_batches_before_it(tmp_path: Path) -> None:
    wanted = shops(train__reference_batches=2)
    frames = {name: sales(200, seed=number) for number, name in enumerate("abcde")}
    found = fresh_answers(wanted, in_file(tmp_path, frames))
    assert list(found) == ["d", "e"]
    history = pd.concat([frames[name] for name in "abc"], ignore_index=True)
    assert (found["d"] == answers(fit(build(wanted), wanted, history), wanted, frames["d"])).all()


def test_the_first_two_batches_are_never_a_reference(tmp_path: Path) -> None:
    rows = in_file(tmp_path, {name: sales(100, seed=number) for number, name in enumerate("abc")})
    assert list(fresh_answers(shops(train__reference_batches=9), rows)) == ["c"]


def test_rows_in_a_file_give_the_model_that_the_same_rows_give(tmp_path: Path) -> None:
    wanted, frames = shops(), {name: sales(200, seed=number) for number, name in enumerate("abc")}
    rows, every = in_file(tmp_path, frames), pd.concat(frames.values(), ignore_index=True)
    for unfitted in (build, baseline):
        first, second = fit_rows(unfitted(wanted), wanted, rows), fit(unfitted(wanted), wanted, every)
        assert (answers(first, wanted, every) == answers(second, wanted, every)).all()
        assert first.n_features_in_ == second.n_features_in_ == 3
        assert first.named_steps["estimator"].n_features_in_ == 3


def test_labels_of_one_class_in_a_file_are_refused(tmp_path: Path) -> None:
    wanted = shops()
    rows = in_file(tmp_path, {name: sales(30).assign(label=1) for name in "ab"})
    for unfitted in (build, baseline):
        with pytest.raises(OneClass, match="60 rows hold 1 only"):
            fit_rows(unfitted(wanted), wanted, rows)


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
    wanted = shops(**change)
    with pytest.raises(ParamsError, match=f"params.yaml: {message}"):
        baseline(wanted) if "gate__baseline" in change else build(wanted)


def test_an_estimator_that_takes_no_missing_values_says_so() -> None:
    wanted = shops(model__estimator="sklearn.linear_model.LogisticRegression", model__settings={})
    with pytest.raises(ParamsError, match="contains NaN"):
        fit(build(wanted), wanted, sales().assign(price=None))


def test_the_shipped_model_survives_its_file_to_the_bit(tmp_path: Path) -> None:
    wanted = shipped()
    rows = next(flights.weeks()).rows
    frame = rows[rows["label"].notna()].head(1500)
    model = fit(build(wanted), wanted, frame)
    dump(model, tmp_path / "model.skops")
    again = load(tmp_path / "model.skops", trusted=wanted.model.trusted_types)
    features = design(frame, wanted.data)
    assert (again.predict_proba(features) == model.predict_proba(features)).all()


def test_a_random_forest_can_be_named_instead() -> None:
    wanted = shops(
        model__estimator="sklearn.ensemble.RandomForestClassifier", model__settings={"n_estimators": 5}
    )
    model = fit(build(wanted), wanted, sales())
    assert len(answers(model, wanted, sales(7))) == 7


def of_label(**label: object) -> dict[str, object]:
    metric = "squared_error" if label["kind"] == "regression" else "log_loss"
    return {"data__label": label, "gate__metric": metric}


def test_several_classes_get_a_probability_each_in_declared_order() -> None:
    wanted = shops(**of_label(kind="multiclass", classes=["dear", "cheap", "unheard of"]))
    frame = sales(600)
    frame["label"] = ["dear" if price > 50 else "cheap" for price in frame["price"].fillna(0)]
    model = fit(build(wanted), wanted, frame)
    chances = answers(model, wanted, frame.assign(price=90.0).head(2))
    assert chances.shape == (2, 3)
    assert chances.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert (chances[:, 0] > 0.9).all()
    assert chances[:, 2].tolist() == [0.0, 0.0]
    assert answers(model, wanted, frame.head(0)).shape == (0, 3)


def test_a_regressor_answers_with_a_value() -> None:
    wanted = shops(
        **of_label(kind="regression", min=0.0, max=200.0),
        model__estimator="sklearn.ensemble.HistGradientBoostingRegressor",
        gate__baseline="sklearn.dummy.DummyRegressor",
    )
    frame = sales(600)
    frame["label"] = 2 * frame["price"].fillna(0.0)
    model = fit(build(wanted), wanted, frame)
    assert answers(model, wanted, frame.assign(price=50.0).head(1)) == [pytest.approx(100, abs=5)]
    assert answers(model, wanted, frame.head(0)).shape == (0,)
    mean = fit(baseline(wanted), wanted, frame)
    assert answers(mean, wanted, frame.head(1)) == [pytest.approx(frame["label"].mean())]


@pytest.mark.parametrize("key", ["model__estimator", "gate__baseline"])
def test_a_classifier_cannot_be_named_for_a_regression(key: str) -> None:
    wanted = shops(**of_label(kind="regression", min=0.0, max=1.0), **{key: "sklearn.dummy.DummyClassifier"})
    message = rf"{key.replace('__', '.')}: should be a regressor \(data.label.kind is regression\)"
    with pytest.raises(ParamsError, match=message):
        build(wanted) if key == "model__estimator" else baseline(wanted)


def test_a_model_of_another_kind_of_label_does_not_answer() -> None:
    model = fit(build(shops()), shops(), sales())
    with pytest.raises(ParamsError, match="data.label.kind: should be the kind .*, got 'a classifier'"):
        answers(model, shops(**of_label(kind="regression", min=0.0, max=1.0)), sales(3))


@pytest.mark.parametrize("only", [0, 1])
def test_rows_of_one_class_train_nothing(only: int) -> None:
    frame = sales(50)
    frame["label"] = pd.array([only] * 50, dtype="Int64")
    with pytest.raises(OneClass, match=f"at least two classes, 50 rows hold {only} only"):
        fit(build(shops()), shops(), frame)
