from pathlib import Path

import pandas as pd
import pytest
from skops.io import dump, load

from tests.unit.builders import sales, shipped, shops
from trimtab.errors import ParamsError
from trimtab.examples import flights
from trimtab.train.features import design
from trimtab.train.fit import baseline, build, fit, fresh_probabilities, probabilities


def test_same_rows_and_seed_give_the_same_predictions() -> None:
    wanted, frame = shops(), sales()
    first, second = (fit(build(wanted), wanted, frame) for _ in range(2))
    assert probabilities(first, wanted, frame) == probabilities(second, wanted, frame)


def test_a_fitted_model_ranks_high_prices_higher() -> None:
    wanted = shops()
    model = fit(build(wanted), wanted, sales(2000))
    cheap, dear = probabilities(model, wanted, sales(2).assign(price=[5.0, 95.0], shop="north", noise=0.0))
    assert cheap < 0.3 < 0.7 < dear


def test_no_rows_give_no_predictions() -> None:
    wanted = shops()
    assert probabilities(fit(build(wanted), wanted, sales()), wanted, sales().head(0)) == []


def test_the_baseline_predicts_the_share_of_the_label() -> None:
    wanted, frame = shops(), sales()
    model = fit(baseline(wanted), wanted, frame)
    assert probabilities(model, wanted, frame.head(1)) == [pytest.approx(frame["label"].mean())]


def test_each_reference_batch_is_scored_by_a_model_of_the_batches_before_it() -> None:
    wanted = shops(train__reference_batches=2)
    frames = {name: sales(200, seed=number) for number, name in enumerate("abcde")}
    answers = fresh_probabilities(wanted, frames)
    assert list(answers) == ["d", "e"]
    history = pd.concat([frames[name] for name in "abc"], ignore_index=True)
    assert answers["d"] == probabilities(fit(build(wanted), wanted, history), wanted, frames["d"])


def test_the_first_two_batches_are_never_a_reference() -> None:
    frames = {name: sales(100, seed=number) for number, name in enumerate("abc")}
    assert list(fresh_probabilities(shops(train__reference_batches=9), frames)) == ["c"]


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
    assert len(probabilities(model, wanted, sales(7))) == 7
