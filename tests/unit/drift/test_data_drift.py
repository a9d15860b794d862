from pathlib import Path

import numpy as np
import pytest

from tests.support.builders import sales, shops
from trimtab.drift.data_drift import measure
from trimtab.train.features import design

WANTED = shops(drift__data={"sample_rows": 1500, "max_share": 0.5})


def drifted(**changes: object) -> set[str]:
    reference = design(sales(2000, seed=1), WANTED.data)
    current = design(sales(2000, seed=2).assign(**changes), WANTED.data)
    scores, _ = measure(reference, current, WANTED)
    assert scores.sampled == 1500
    assert {column.column for column in scores.columns} == {"shop", "price", "noise"}
    names = {column.column for column in scores.columns if column.drifted}
    assert scores.share == pytest.approx(len(names) / 3)
    return names


def test_two_samples_of_one_world_do_not_drift() -> None:
    assert drifted() == set()


def test_a_shifted_number_drifts() -> None:
    assert drifted(price=np.linspace(50, 100, 2000)) == {"price"}


def test_a_category_that_takes_over_drifts() -> None:
    assert drifted(shop="north") == {"shop"}


def test_a_column_that_went_empty_drifts_and_does_not_end_the_report() -> None:
    assert drifted(price=np.nan) == {"price"}


def test_a_column_that_went_constant_drifts() -> None:
    assert drifted(noise=0.0) == {"noise"}


def test_after_a_change_of_the_contract_the_features_of_both_are_compared() -> None:
    reference = design(sales(300), WANTED.data)
    current = reference.drop(columns="noise").assign(price="dear", holiday=0.0)
    scores, _ = measure(reference, current, WANTED)
    assert [column.column for column in scores.columns] == ["shop"]


def test_the_report_is_a_page(tmp_path: Path) -> None:
    frame = design(sales(300), WANTED.data)
    _, save_report = measure(frame, frame, WANTED)
    save_report(str(tmp_path / "report.html"))
    assert "price" in (tmp_path / "report.html").read_text()
