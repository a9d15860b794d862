from pathlib import Path

import pandas as pd
import pytest

from tests.support.builders import in_file, sales
from trimtab.errors import Unfit
from trimtab.train import row_groups

WEEKS = {name: sales(rows=40 + number, seed=number) for number, name in enumerate("abc")}
EVERY = pd.concat([week.assign(batch=name) for name, week in WEEKS.items()], ignore_index=True)


def test_rows_come_back_as_they_were_a_batch_at_a_time(tmp_path: Path) -> None:
    found = in_file(tmp_path, WEEKS)
    assert [(part.batch, part.rows) for part in found.parts] == [("a", 40), ("b", 41), ("c", 42)]
    assert len(found) == 123
    pd.testing.assert_frame_equal(found.frame(), EVERY.astype({"label": "int64"}))
    assert list(found.parts[1].read(["label"])) == ["label"]
    assert found.of(["c", "a"]).frame()["row_id"].tolist() == [*WEEKS["a"]["row_id"], *WEEKS["c"]["row_id"]]


@pytest.mark.parametrize("number", [1, 30, 123, 1000])
def test_a_sample_is_that_of_all_rows_at_once(number: int, tmp_path: Path) -> None:
    found = in_file(tmp_path, WEEKS)
    expected = found.frame().sample(min(number, 123), random_state=7).reset_index(drop=True)
    pd.testing.assert_frame_equal(found.sample(number, 7), expected)


def test_a_batch_without_rows_leaves_none_and_no_part(tmp_path: Path) -> None:
    found = in_file(tmp_path, {"a": WEEKS["a"], "none": WEEKS["b"].head(0), "c": WEEKS["c"]})
    assert [part.batch for part in found.parts] == ["a", "c"]


def test_a_column_that_came_later_is_null_before(tmp_path: Path) -> None:
    earlier = WEEKS["a"].drop(columns=["price", "shop"])
    found = in_file(tmp_path, {"a": earlier, "b": WEEKS["b"]}).frame()
    assert found["price"].isna().sum() == found["shop"].isna().sum() == 40
    assert found["price"].dtype == "float64"


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    EVERY.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(Unfit, match="holds batches a to c in row group 0, expected one.*trimtab prepare"):
        row_groups.read(tmp_path / "rows.parquet")
