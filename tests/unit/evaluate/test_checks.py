from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tests.support.builders import BINARY, CLASSES, MONDAY, VALUE, shops
from trimtab.evaluate.checks import Measured, calibration_error, check_all
from trimtab.evaluate.scores import row_losses

GATE = shops(gate__slices=["shop"], gate__slice_min_rows=100).gate
COUNT = 700


def measured(**challenger: np.ndarray) -> Measured:
    place = np.arange(COUNT)
    rows = pd.DataFrame(
        {
            "batch": "W1",
            "event_time": [MONDAY + timedelta(minutes=10 * int(number)) for number in place],
            "label": place % 2,
            "shop": np.where(place % 4 < 2, "north", "south"),
        }
    )
    fair = np.where(rows["label"] == 1, 0.7, 0.3)
    answers = {
        "challenger": challenger.get("answers", fair),
        "champion": fair,
        "baseline": np.full(COUNT, 0.5),
    }
    truths = rows["label"].to_numpy()
    return Measured(
        label=BINARY,
        rows=rows,
        truths=truths,
        predictions=answers,
        losses={role: row_losses("log_loss", BINARY, truths, answer) for role, answer in answers.items()},
        milliseconds_per_row=0.01,
        model_megabytes=1.0,
    )


def failed(measurements: Measured, gate=GATE) -> list[str]:
    return [check.name for check in check_all(measurements, gate) if not check.passed]


def test_a_model_like_its_champion_passes_every_check() -> None:
    measurements = check_all(measured(), GATE)
    names = [
        "predictions",
        "baseline",
        "calibration",
        "slice shop=north",
        "slice shop=south",
        "latency",
        "size",
    ]
    assert [check.name for check in measurements] == names
    assert all(check.passed for check in measurements)


def test_one_prediction_that_is_none_bars() -> None:
    answers = np.array(measured().predictions["champion"])
    answers[3] = np.nan
    check = check_all(measured(answers=answers), GATE)[0]
    assert (check.passed, check.sentence) == (False, "1 of 700 predictions are no probabilities")


def test_a_slice_that_loses_bars_although_the_others_win() -> None:
    measurements = measured()
    south = (measurements.rows["shop"] == "south").to_numpy()
    answers = np.where(measurements.rows["label"] == 1, 0.95, 0.05)
    answers[south] = np.where(measurements.rows["label"][south] == 1, 0.6, 0.4)
    worse = measured(answers=answers)
    assert worse.losses["challenger"].mean() < worse.losses["champion"].mean()
    assert failed(worse) == ["slice shop=south"]
    assert failed(worse, GATE.model_copy(update={"slice_max_loss": 0.5})) == []
    assert failed(worse, GATE.model_copy(update={"slice_min_rows": 400})) == []


def test_a_model_that_does_not_beat_the_baseline_is_barred() -> None:
    assert "baseline" in failed(measured(answers=np.full(COUNT, 0.5)))


def test_a_model_that_is_too_sure_of_itself_is_barred() -> None:
    assert "calibration" in failed(measured(answers=np.where(np.arange(COUNT) % 3 == 0, 0.99, 0.9)))


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        ({"milliseconds_per_row": 3.0}, "latency", "its latency is 3 ms per row, gate.max_ms_per_row is 1"),
        ({"model_megabytes": 80.0}, "size", "its size is 80 MB, gate.max_model_mb is 50"),
    ],
)
def test_what_is_too_slow_or_too_large_is_barred(change: dict[str, float], name: str, sentence: str) -> None:
    measurements = replace(measured(), **change)
    assert failed(measurements) == [name]
    assert [check.sentence for check in check_all(measurements, GATE) if check.name == name] == [sentence]


def test_the_first_model_is_not_held_against_a_constant() -> None:
    measurements = measured()
    first = replace(
        measurements, losses={role: measurements.losses[role] for role in ("challenger", "champion")}
    )
    assert [check.name for check in check_all(first, GATE)] == ["predictions", "latency", "size"]


def test_without_rows_nothing_breaks() -> None:
    measurements = measured()
    empty = replace(
        measurements,
        rows=measurements.rows.head(0),
        truths=measurements.truths[:0],
        predictions={role: np.empty(0) for role in measurements.predictions},
        losses={role: np.empty(0) for role in measurements.losses},
    )
    assert failed(empty) == ["baseline"]


def test_the_calibration_error_is_the_mean_distance_of_chance_from_truth() -> None:
    assert calibration_error([1, 1, 0, 0], [0.9, 0.9, 0.2, 0.2]) == pytest.approx(0.15)
    assert calibration_error([], []) == 0.0


def test_each_check_says_its_value_its_limit_and_a_sentence() -> None:
    answers = np.array(measured().predictions["champion"])
    north = (np.arange(COUNT) % 4 < 2) & (np.arange(COUNT) % 2 == 1)
    answers[north] = 0.9
    measurements = measured(answers=answers)
    rows = {check.name: check for check in check_all(measurements, GATE)}
    loss = {role: float(np.mean(losses)) for role, losses in measurements.losses.items()}

    assert (rows["predictions"].value, rows["predictions"].limit) == (0, 0.0)
    baseline = rows["baseline"]
    assert (baseline.value, baseline.limit) == (pytest.approx(loss["baseline"] - loss["challenger"]), 0.0)
    assert baseline.sentence == (
        f"the loss is {loss['challenger']:.4f} against {loss['baseline']:.4f} of the baseline ({GATE.baseline})"
    )
    calibration = rows["calibration"]
    ours, theirs = (
        calibration_error(measurements.truths, measurements.predictions[role])
        for role in ("challenger", "champion")
    )
    assert (calibration.value, calibration.limit) == (
        pytest.approx(ours - theirs),
        GATE.max_calibration_excess,
    )
    assert calibration.sentence == (
        f"the calibration error is {ours:.4f} against {theirs:.4f}, gate.max_calibration_excess is "
        f"{GATE.max_calibration_excess:g}"
    )
    part = rows["slice shop=north"]
    place = np.flatnonzero(measurements.rows["shop"] == "north")
    gain = float((measurements.losses["champion"][place] - measurements.losses["challenger"][place]).mean())
    assert (part.value, part.limit) == (pytest.approx(gain), -GATE.slice_max_loss)
    assert part.sentence.startswith(f"on the 350 rows of shop=north the gain is {gain:+.4f} (at most +")
    assert part.sentence.endswith(f"), gate.slice_max_loss is {GATE.slice_max_loss:g}")
    assert (rows["latency"].value, rows["latency"].limit) == (0.01, GATE.max_ms_per_row)
    assert (rows["size"].value, rows["size"].limit) == (1.0, GATE.max_model_mb)


def test_a_limit_itself_is_within_the_limit() -> None:
    measurements = measured()
    exact = GATE.model_copy(
        update={"max_ms_per_row": 0.01, "max_model_mb": 1.0, "max_calibration_excess": 0.0}
    )
    assert failed(measurements, exact) == []


def test_a_slice_of_just_enough_rows_is_looked_at_and_those_after_a_small_one_too() -> None:
    measurements = measured()
    shop = measurements.rows["shop"].astype(object)
    shop[:50] = "a small one"
    measurements = replace(measurements, rows=measurements.rows.assign(shop=shop))
    enough = int((shop == "north").sum())
    names = [
        check.name for check in check_all(measurements, GATE.model_copy(update={"slice_min_rows": enough}))
    ]
    assert [name for name in names if name.startswith("slice")] == ["slice shop=north", "slice shop=south"]
    names = [
        check.name
        for check in check_all(measurements, GATE.model_copy(update={"slice_min_rows": enough + 1}))
    ]
    assert "slice shop=north" not in names


def test_slices_come_in_the_order_of_their_names() -> None:
    measurements = measured()
    shop = pd.Series(np.where(np.arange(COUNT) % 4 < 2, 2, 10), dtype=object)
    names = [
        check.name
        for check in check_all(replace(measurements, rows=measurements.rows.assign(shop=shop)), GATE)
    ]
    assert [name for name in names if name.startswith("slice")] == ["slice shop=10", "slice shop=2"]


def losing(by: float, spread: float) -> Measured:
    """A challenger that loses `by` in the north on average, from day to day more and less."""
    measurements = measured()
    north = (measurements.rows["shop"] == "north").to_numpy()
    days = (measurements.rows["event_time"].dt.dayofyear % 2).to_numpy()
    worse = measurements.losses["champion"] + np.where(north, by + np.where(days == 1, spread, -spread), 0.0)
    return replace(measurements, losses={**measurements.losses, "challenger": worse})


@pytest.mark.parametrize(
    ("by", "spread", "bars"),
    [(0.02, 0.0, True), (0.005, 0.0, False), (0.02, 0.5, False)],
    ids=["beyond the limit and the noise", "within the limit", "within the noise"],
)
def test_a_slice_bars_beyond_its_limit_and_beyond_noise(by: float, spread: float, bars: bool) -> None:
    assert ("slice shop=north" in failed(losing(by, spread))) == bars


def test_calibration_takes_ties_in_their_order_and_objects_for_numbers() -> None:
    chance = [0.2, 0.8] * 20
    labels = [0, 1, 1, 1] * 10
    expected_error = calibration_error(labels, chance)
    assert expected_error == pytest.approx((abs(0.5 - 0.2) + abs(1.0 - 0.8)) / 2)
    assert calibration_error(np.array(labels, dtype=object), np.array(chance, dtype=object)) == expected_error


def test_of_several_classes_the_likeliest_one_is_held_against_the_truth() -> None:
    sure = np.full((4, 3), 0.1) + 0.7 * np.eye(3)[[0, 1, 2, 2]]
    assert calibration_error([0, 1, 2, 2], sure) == pytest.approx(0.2)
    assert calibration_error([1, 1, 2, 2], sure) == pytest.approx(0.05)


def of_kind(label, metric: str, answers: np.ndarray, truths: np.ndarray) -> Measured:
    """All three roles answer the same."""
    return replace(
        measured(),
        label=label,
        truths=truths,
        predictions={role: answers for role in ("challenger", "champion", "baseline")},
        losses={
            role: row_losses(metric, label, truths, answers)
            for role in ("challenger", "champion", "baseline")
        },
    )


def test_a_multiclass_model_is_checked_for_calibration_too() -> None:
    truths = np.arange(COUNT) % 3
    measurements = of_kind(CLASSES, "brier", np.eye(3)[truths], truths)
    calm = replace(
        measurements, predictions={**measurements.predictions, "challenger": np.full((COUNT, 3), 1 / 3)}
    )
    assert failed(measurements) == ["baseline"]
    doubtful = 0.4 * np.eye(3)[truths] + 0.2
    assert "calibration" in failed(
        replace(calm, predictions={**measurements.predictions, "challenger": doubtful})
    )


def test_a_regression_is_not_checked_for_calibration() -> None:
    values = np.linspace(0.0, 100.0, COUNT)
    measurements = of_kind(VALUE, "squared_error", values, values)
    names = [check.name for check in check_all(measurements, GATE)]
    assert names == ["predictions", "baseline", "slice shop=north", "slice shop=south", "latency", "size"]
    lost = values.copy()
    lost[:2] = np.nan
    check = check_all(
        replace(measurements, predictions={**measurements.predictions, "challenger": lost}), GATE
    )[0]
    assert (check.passed, check.sentence) == (False, "2 of 700 predictions are no finite numbers")


def test_a_single_row_is_compared_with_the_baseline_as_it_is() -> None:
    measurements = measured()
    single = replace(
        measurements,
        rows=measurements.rows.head(1),
        truths=measurements.truths[:1],
        predictions={role: answers[:1] for role, answers in measurements.predictions.items()},
        losses={role: losses[:1] for role, losses in measurements.losses.items()},
    )
    baseline = next(check for check in check_all(single, GATE) if check.name == "baseline")
    assert baseline.value == pytest.approx(
        measurements.losses["baseline"][0] - measurements.losses["challenger"][0]
    )


def test_a_slice_may_lose_just_as_much_as_it_may() -> None:
    measurements = measured()
    half = {role: np.full(COUNT, 0.5) for role in measurements.losses}
    exact = replace(
        measurements,
        losses={**half, "challenger": half["challenger"] + 0.25, "baseline": half["champion"] + 1},
    )
    assert failed(exact, GATE.model_copy(update={"slice_max_loss": 0.25})) == []
    assert failed(exact, GATE.model_copy(update={"slice_max_loss": 0.24})) == [
        "slice shop=north",
        "slice shop=south",
    ]


def test_of_equal_chances_the_first_rows_share_a_bin() -> None:
    chance = np.r_[np.full(91, 0.5), np.linspace(0.6, 0.68, 9)]
    truth = np.r_[np.zeros(40), np.ones(51), np.ones(9)]
    bins = [*[0.5] * 9, 0.1 * 0.5 + sum(1 - p for p in chance[91:]) / 10]
    assert calibration_error(truth, chance) == pytest.approx(sum(bins) / 10)
