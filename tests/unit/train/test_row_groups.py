from pathlib import Path

import pandas as pd
import pytest

from tests.support.builders import in_file, sales
from trimtab.errors import Unfit
from trimtab.train import row_groups

WEEKS = {name: sales(rows=40 + number, seed=number) for number, name in enumerate("abc")}
ALL_ROWS = pd.concat([week.assign(batch=name) for name, week in WEEKS.items()], ignore_index=True)


def test_rows_are_read_as_they_were_written_and_batch_by_batch(tmp_path: Path) -> None:
    rows = in_file(tmp_path, WEEKS)
    assert [(part.batch, part.rows) for part in rows.parts] == [("a", 40), ("b", 41), ("c", 42)]
    assert len(rows) == 123
    pd.testing.assert_frame_equal(rows.frame(), ALL_ROWS.astype({"label": "int64"}))
    assert list(rows.parts[1].read(["label"])) == ["label"]
    two_batches = rows.select(["c", "a"]).frame()
    assert two_batches["row_id"].tolist() == [*WEEKS["a"]["row_id"], *WEEKS["c"]["row_id"]]


@pytest.mark.parametrize("size", [1, 30, 123, 1000])
def test_a_sample_equals_that_of_a_frame_of_all_rows(size: int, tmp_path: Path) -> None:
    rows = in_file(tmp_path, WEEKS)
    expected = rows.frame().sample(min(size, 123), random_state=7).reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.sample(size, 7), expected)


def test_a_batch_without_rows_leaves_no_row_group(tmp_path: Path) -> None:
    rows = in_file(tmp_path, {"a": WEEKS["a"], "empty": WEEKS["b"].head(0), "c": WEEKS["c"]})
    assert [part.batch for part in rows.parts] == ["a", "c"]


def test_a_column_is_null_in_the_batches_before_it_was_added(tmp_path: Path) -> None:
    earlier = WEEKS["a"].drop(columns=["price", "shop"])
    frame = in_file(tmp_path, {"a": earlier, "b": WEEKS["b"]}).frame()
    assert frame["price"].isna().sum() == frame["shop"].isna().sum() == 40
    assert frame["price"].dtype == "float64"


def test_rows_whose_label_was_not_known_yet_are_left_out(tmp_path: Path) -> None:
    cutoff = WEEKS["b"]["label_known_at"][9]
    late = WEEKS["c"].assign(label_known_at=cutoff + pd.Timedelta(seconds=1))
    rows = in_file(tmp_path, {"a": WEEKS["a"].head(5), "b": WEEKS["b"], "c": late}).known_at(cutoff)
    assert [(part.batch, part.rows) for part in rows.parts] == [("a", 5), ("b", 10)]
    assert rows.frame()["row_id"].tolist() == [*WEEKS["a"]["row_id"][:5], *WEEKS["b"]["row_id"][:10]]
    assert list(rows.parts[1].read(["price"])) == ["price"]


def test_a_file_with_several_batches_in_a_row_group_is_refused(tmp_path: Path) -> None:
    ALL_ROWS.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(Unfit, match="expected one batch in row group 0, got a to c.*trimtab prepare"):
        row_groups.read(tmp_path / "rows.parquet")
