"""Each kind of corrupt batch is refused whole, or in rows, with a reason that a person understands."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from trimtab import params
from trimtab.data import landing
from trimtab.data.ingest import Checked, check
from trimtab.errors import BatchRejected

Land = Callable[..., Path]
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def taken_in(folder: Path, data: params.Data, batch: str = "W2") -> Checked:
    return check(landing.read(folder, batch), data, now=NOW)


def rejection(folder: Path, data: params.Data) -> BatchRejected:
    with pytest.raises(BatchRejected) as rejected:
        taken_in(folder, data)
    return rejected.value


def refused(folder: Path, data: params.Data) -> str:
    return rejection(folder, data).reason


def test_a_valid_batch_is_accepted_whole(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    checked = taken_in(land(week), data)
    assert len(checked.valid) == 100
    assert checked.bad.empty
    assert checked.unseen == {}
    assert dict(checked.valid.dtypes.astype(str)) == {
        "row_id": "object",
        "event_time": "datetime64[ns, UTC]",
        "region": "object",
        "wind": "float64",
        "cloud": "float64",
        "label": "Int64",
        "label_known_at": "datetime64[ns, UTC]",
    }


def test_empty(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    assert refused(land(week.head(0)), data) == "expected rows, got none. Check that the export finished"


def test_truncated(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    folder = land(week)
    whole = (folder / "W2.parquet").read_bytes()
    (folder / "W2.parquet").write_bytes(whole[: len(whole) // 2])
    assert refused(folder, data).startswith(
        f"expected a parquet file, got {len(whole) // 2} bytes: Parquet magic bytes"
    )


def test_not_parquet(land: Land, data: params.Data) -> None:
    assert refused(land(content=b"row_id,label\n1,0\n"), data).startswith(
        "expected a parquet file, got 17 bytes"
    )


def test_a_file_of_no_bytes(land: Land, data: params.Data) -> None:
    assert refused(land(), data) == "expected a parquet file, got 0 bytes: Parquet file size is 0 bytes"


def test_a_missing_column(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    reason = refused(land(week.drop(columns=["wind", "label"])), data)
    assert reason == "expected the columns of params.yaml, got none called wind, label"


def test_an_unexpected_column(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    reason = refused(land(week.assign(departure_delay=3)), data)
    assert reason == "expected the columns of params.yaml only, got departure_delay too"


def test_a_few_undeclared_categories_are_accepted_and_counted(
    land: Land, week: pd.DataFrame, data: params.Data
) -> None:
    week.loc[:4, "region"] = "west"
    checked = taken_in(land(week), data)
    assert checked.unseen == {"region": 5}
    assert (len(checked.valid), len(checked.bad)) == (100, 0)


def test_many_undeclared_categories(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[:5, "region"] = "west"
    assert refused(land(week), data) == (
        "expected at most 5.0% undeclared categories in region (data.max_unseen_share), got 6.0%, 6 of 100 rows"
    )


def test_of_rows_with_the_same_id_the_first_is_valid(
    land: Land, week: pd.DataFrame, data: params.Data
) -> None:
    week.loc[7, "row_id"] = "row-3"
    checked = taken_in(land(week), data)
    assert list(checked.valid["wind"].head(8)) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
    assert list(checked.bad["wind"]) == [7.0]
    assert list(checked.bad["fault"]) == ["row_id: expected an id that occurs once, got a duplicate"]


def test_many_repeated_ids(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[:3, "row_id"] = "row-0"
    rejected = rejection(land(week), data)
    assert rejected.reason == (
        "expected at most 2.0% faulty rows (data.max_bad_share), got 3.0%, 3 of 100; "
        "the first: row_id: expected an id that occurs once, got a duplicate"
    )
    assert rejected.row_ids == ("row-0",)


def test_a_row_without_an_id_is_not_named(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[:3, "row_id"] = None
    assert rejection(land(week), data).row_ids == ()


@pytest.mark.parametrize("time", ["2026-01-04T23:59:59+00:00", "2026-01-12T00:00:00+00:00"])
def test_a_time_outside_the_bounds(land: Land, week: pd.DataFrame, data: params.Data, time: str) -> None:
    week.loc[5, "event_time"] = pd.Timestamp(time)
    assert refused(land(week), data) == (
        "expected event_time from 2026-01-05T00:00:00+00:00 to before 2026-01-12T00:00:00+00:00, "
        f"got {time} and 0 more outside"
    )


def test_a_column_of_nulls_although_nulls_are_allowed(
    land: Land, week: pd.DataFrame, data: params.Data
) -> None:
    assert refused(land(week.assign(cloud=None)), data) == "expected values, got nothing but nulls in cloud"


def test_nothing_but_nulls_in_features_that_no_client_has_sent(
    land: Land, week: pd.DataFrame, data: params.Data
) -> None:
    folder = land(week.assign(cloud=None), note={"unsent": ["cloud"]})
    assert len(taken_in(folder, data).valid) == 100
    folder = land(week.assign(cloud=None, wind=None), note={"unsent": ["cloud", "wind"]})
    assert refused(folder, data) == "expected values, got nothing but nulls in wind"


def test_a_few_values_out_of_range(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[[8, 9], "wind"] = [1048.4, -1.0]
    checked = taken_in(land(week), data)
    assert len(checked.valid) == 98
    assert list(checked.bad["row_id"]) == ["row-8", "row-9"]
    assert list(checked.bad["fault"]) == [
        "wind: expected 0 to 150, got 1048.4",
        "wind: expected 0 to 150, got -1.0",
    ]


def test_many_values_out_of_range(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[[7, 8, 9], "wind"] = 1048.4
    assert refused(land(week), data) == (
        "expected at most 2.0% faulty rows (data.max_bad_share), got 3.0%, 3 of 100; "
        "the first: wind: expected 0 to 150, got 1048.4"
    )


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("not json", "got one in which (file): Invalid JSON: expected ident at line 1 column 2"),
        ({"end": None}, "got one in which end: Value error, expected a time in ISO 8601"),
        ({"end": 4e12}, "got one in which end: Value error, expected a time in ISO 8601"),
        ({"start": "2026-01-05T00:00:00"}, "got one in which start: Input should have timezone info"),
        ({"rows": 3}, "got one in which rows: Extra inputs are not permitted"),
        ({"batch": "W3"}, "expected a manifest of this batch, got one of 'W3'"),
        ({"end": "2026-01-01T00:00:00Z"}, "expected start before end, got 2026-01-05"),
    ],
)
def test_a_bad_manifest(land: Land, week: pd.DataFrame, data: params.Data, note: object, reason: str) -> None:
    assert reason in refused(land(week, note=note), data)
