from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.support.builders import shipped
from tests.support.scored import BLOCKS, ROWS, record, score, scored
from trimtab.contracts import BlockLoss, CalibrationBin, Check, Examined, Score
from trimtab.evaluate.checks import check_all
from trimtab.evaluate.record import Record, model, shadow
from trimtab.params import Gate

GATE = shipped().gate.model_copy(update={"slice_min_rows": BLOCKS * ROWS})
SOUND = Examined(milliseconds_per_row=0.01, megabytes=1.0)


def checks(seen: Record, gate: Gate = GATE, examined: Examined | None = SOUND) -> dict[str, Check]:
    return {check.name: check for check in check_all(seen, model("champion"), shadow("all"), gate, examined)}


def failed(seen: Record, gate: Gate = GATE, examined: Examined | None = SOUND) -> list[str]:
    return [check.name for check in checks(seen, gate, examined).values() if not check.passed]


def calibrated(predicted: float) -> Sequence[CalibrationBin]:
    """100 rows, half of them with the label 1, and what the model predicted for them."""
    empty = CalibrationBin(rows=0, predicted=0.0, observed=0.0)
    return [CalibrationBin(rows=100, predicted=100 * predicted, observed=50.0), *[empty] * 19]


def sliced(
    champion: Mapping[str, float], fresh: Mapping[str, float], *, noise: float = 0.01, count: int = 4
) -> list:
    """Batches on which the slices have these mean losses."""
    return [
        scored(
            number,
            {
                "champion": score(0.5, seed=number, slices=champion, noise=noise),
                "all": score(0.49, seed=50 + number, slices=fresh, noise=noise),
            },
        )
        for number in range(1, count + 1)
    ]


def test_a_model_like_its_champion_passes_every_check() -> None:
    both = {"shop=north": 0.5, "shop=south": 0.5}
    seen = [replace(each, scores=dict(each.scores) | {"baseline": score(0.7)}) for each in sliced(both, both)]
    passed = checks(seen)
    assert list(passed) == [
        "predictions",
        "baseline",
        "slice shop=north",
        "slice shop=south",
        "edges of the data contract",
        "latency",
        "size",
    ]
    assert all(check.passed for check in passed.values())


def test_without_slices_baseline_calibration_and_model_only_the_predictions_are_checked() -> None:
    assert list(checks(record(3, champion=0.5, all=0.5), examined=None)) == ["predictions"]
    assert failed([]) == []


def test_one_invalid_prediction_bars() -> None:
    seen = [scored(number, {"champion": 0.5, "all": score(0.4, invalid=number - 1)}) for number in (1, 2)]
    check = checks(seen)["predictions"]
    assert (check.passed, check.value, check.sentence) == (
        False,
        1,
        "1 of 1400 predictions are no probability or no finite number",
    )


def test_only_a_model_that_loses_to_the_baseline_and_to_the_champion_is_barred_by_the_baseline() -> None:
    assert failed(record(3, champion=0.79, all=0.8, baseline=0.7)) == ["baseline"]
    assert failed(record(3, champion=0.9, all=0.8, baseline=0.7)) == []  # right after a drift
    assert failed(record(3, champion=0.5, all=0.6, baseline=0.7)) == []  # what the comparison is for
    check = checks(record(3, champion=0.79, all=0.8, baseline=0.7))["baseline"]
    assert check.value == pytest.approx(-0.1)
    assert check.sentence == (
        "the fresh models lose 0.1000 log_loss more per row than the baseline (sklearn.dummy.DummyClassifier), and more "
        "than the champion"
    )


@pytest.mark.parametrize(("predicted", "bars"), [(0.5, False), (0.54, False), (0.56, True)])
def test_a_model_that_is_worse_calibrated_than_the_champion_is_barred(predicted: float, bars: bool) -> None:
    seen = [
        scored(
            number,
            {
                "champion": score(0.5, calibration=calibrated(0.5)),
                "all": score(0.4, calibration=calibrated(predicted)),
            },
        )
        for number in (1, 2)
    ]
    assert failed(seen) == (["calibration"] if bars else [])
    check = checks(seen)["calibration"]
    assert check.value == pytest.approx(predicted - 0.5)
    assert check.sentence == (
        f"the calibration error is {predicted - 0.5:.4f} against 0.0000, gate.max_calibration_excess is 0.05"
    )


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        ({"milliseconds_per_row": 3.0}, "latency", "its latency is 3 ms per row, gate.max_ms_per_row is 1"),
        ({"megabytes": 80.0}, "size", "its size is 80 MB, gate.max_model_mb is 50"),
        ({"fault": "it fails"}, "edges of the data contract", "it fails"),
    ],
)
def test_a_model_that_is_too_slow_too_large_or_fails_at_the_edges_is_barred(
    change: dict[str, object], name: str, sentence: str
) -> None:
    seen = record(3, champion=0.5, all=0.5)
    examined = replace(SOUND, **change)
    assert failed(seen, examined=examined) == [name]
    assert checks(seen, examined=examined)[name].sentence == sentence


def test_a_limit_itself_is_within_the_limit() -> None:
    gate = GATE.model_copy(update={"max_ms_per_row": 0.01, "max_model_mb": 1.0})
    assert failed(record(3, champion=0.5, all=0.5), gate) == []


def test_harm_to_a_slice_bars_although_the_others_gain() -> None:
    seen = sliced({"shop=north": 0.5, "shop=south": 0.5}, {"shop=north": 0.55, "shop=south": 0.4})
    assert failed(seen) == ["slice shop=north"]
    check = checks(seen)["slice shop=north"]
    assert (check.value, check.limit) == (pytest.approx(-0.05), -GATE.slice_max_loss)
    assert check.sentence.startswith("on the 2800 rows of shop=north the gain is -0.0500 (at most -0.0")


@pytest.mark.parametrize(
    ("loss", "noise", "count", "bars"),
    [(0.52, 0.01, 4, True), (0.507, 0.001, 4, False), (0.52, 0.5, 4, False)],
    ids=["beyond limit and noise", "within the limit", "within the noise"],
)
def test_a_slice_bars_beyond_its_limit_and_beyond_noise(
    loss: float, noise: float, count: int, bars: bool
) -> None:
    seen = sliced({"shop=north": 0.5}, {"shop=north": loss}, noise=noise, count=count)
    assert failed(seen) == (["slice shop=north"] if bars else [])


def test_a_slice_is_pooled_over_batches_before_its_rows_are_counted() -> None:
    gate = GATE.model_copy(update={"slice_min_rows": 2 * BLOCKS * ROWS})
    worse = {"shop=north": 0.5}, {"shop=north": 0.6}
    assert "slice shop=north" not in checks(sliced(*worse, count=1), gate)
    assert failed(sliced(*worse, count=2), gate) == ["slice shop=north"]


def test_many_harmless_slices_bar_a_good_model_no_more_often_than_one() -> None:
    barred = sum(bool(failed(harmless(seed))) for seed in range(30))
    assert barred <= 7  # 3 expected, for the error is .1 for all slices; .1 for each would bar most models


def harmless(seed: int) -> Record:
    """Four batches on which each of 30 slices gains or loses by chance, from block to block."""
    draw = np.random.default_rng(seed)

    def by_chance() -> Score:
        parts = [f"shop={number}" for number in range(30)]
        return replace(score(0.5, seed=int(draw.integers(10**6))), slices={part: sums() for part in parts})

    def sums() -> tuple[BlockLoss, ...]:
        losses = 0.5 + draw.normal(scale=0.1, size=BLOCKS)
        return tuple(
            BlockLoss(number=number, rows=ROWS, loss=loss * ROWS)
            for number, loss in enumerate(losses.tolist())
        )

    return [scored(number, {"champion": by_chance(), "all": by_chance()}) for number in range(1, 5)]


def test_a_slice_of_one_block_has_no_bound_and_bars_nothing() -> None:
    gate = GATE.model_copy(update={"slice_min_rows": 1})
    single = {"shop=north": (BlockLoss(number=0, rows=600, loss=600.0),)}
    worse = {"shop=north": (BlockLoss(number=0, rows=600, loss=900.0),)}
    seen = [
        scored(1, {"champion": replace(score(0.5), slices=single), "all": replace(score(0.5), slices=worse)})
    ]
    check = checks(seen, gate)["slice shop=north"]
    assert check.passed
    assert "(at most unknown)" in check.sentence
