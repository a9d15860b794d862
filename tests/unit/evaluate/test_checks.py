from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from tests.unit.builders import MONDAY, shops
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
    return Measured(
        rows=rows,
        predictions={role: list(one) for role, one in answers.items()},
        losses={
            role: row_losses("log_loss", rows["label"].tolist(), list(one)) for role, one in answers.items()
        },
        milliseconds_per_row=0.01,
        model_megabytes=1.0,
    )


def failed(found: Measured, gate=GATE) -> list[str]:
    return [check.name for check in check_all(found, gate) if not check.passed]


def test_a_model_like_its_champion_passes_every_check() -> None:
    found = check_all(measured(), GATE)
    names = [
        "predictions",
        "baseline",
        "calibration",
        "slice shop=north",
        "slice shop=south",
        "latency",
        "size",
    ]
    assert [check.name for check in found] == names
    assert all(check.passed for check in found)


def test_one_prediction_that_is_none_bars() -> None:
    answers = np.array(measured().predictions["champion"])
    answers[3] = np.nan
    check = check_all(measured(answers=answers), GATE)[0]
    assert (check.passed, check.sentence) == (False, "1 of 700 predictions are no probabilities")


def test_a_slice_that_loses_bars_although_the_others_win() -> None:
    found = measured()
    south = (found.rows["shop"] == "south").to_numpy()
    answers = np.where(found.rows["label"] == 1, 0.95, 0.05)
    answers[south] = np.where(found.rows["label"][south] == 1, 0.6, 0.4)
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
    found = replace(measured(), **change)
    assert failed(found) == [name]
    assert [check.sentence for check in check_all(found, GATE) if check.name == name] == [sentence]


def test_the_first_model_is_not_held_against_a_constant() -> None:
    found = measured()
    first = replace(found, losses={role: found.losses[role] for role in ("challenger", "champion")})
    assert [check.name for check in check_all(first, GATE)] == ["predictions", "latency", "size"]


def test_without_rows_nothing_breaks() -> None:
    found = measured()
    empty = replace(
        found,
        rows=found.rows.head(0),
        predictions={role: [] for role in found.predictions},
        losses={role: np.empty(0) for role in found.losses},
    )
    assert failed(empty) == ["baseline"]


def test_the_calibration_error_is_the_mean_distance_of_chance_from_truth() -> None:
    assert calibration_error([1, 1, 0, 0], [0.9, 0.9, 0.2, 0.2]) == pytest.approx(0.15)
    assert calibration_error([], []) == 0.0
