from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from trimtab import params
from trimtab.data import landing
from trimtab.data.ingest import Checked, check
from trimtab.errors import BatchRejected

Land = Callable[..., Path]
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RELEASED = {"released_by": "W2-batch-12345678", "released_reason": "the sensor is new"}


def checked_batch(folder: Path, data: params.Data) -> Checked:
    return check(landing.read(folder, "W2"), data, now=NOW)


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("row_id", None, "row_id: expected a value, got null"),
        ("row_id", "", "row_id: expected text that is not empty, got "),
        ("region", None, "region: expected a value, got null"),
        ("wind", float("nan"), "wind: expected a value, got null"),
        ("wind", float("inf"), "wind: expected 0 to 150, got inf"),
        ("label", 2, "label: expected 0, 1 or null, got 2"),
        ("label_known_at", pd.NaT, "label_known_at: expected label and label_known_at together, or neither"),
        (
            "label_known_at",
            pd.Timestamp("2026-01-05T00:30Z"),
            "label_known_at: expected label_known_at not before event_time",
        ),
    ],
)
def test_a_faulty_row_is_refused(
    land: Land, week: pd.DataFrame, data: params.Data, column: str, value: Any, fault: str
) -> None:
    week.loc[1, column] = value
    checked = checked_batch(land(week), data)
    assert list(checked.bad["fault"]) == [fault]
    assert len(checked.valid) == 99


def test_a_row_without_a_time_is_refused(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[0, "event_time"] = pd.NaT
    assert list(checked_batch(land(week), data).bad["fault"]) == ["event_time: expected a value, got null"]


def test_a_row_with_two_faults_names_both(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[2, ["wind", "cloud"]] = [151.0, 9.0]
    faults = list(checked_batch(land(week), data).bad["fault"])
    assert faults == ["cloud: expected 0 to 8, got 9.0; wind: expected 0 to 150, got 151.0"]


def test_a_batch_without_labels_is_accepted(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    valid = checked_batch(land(week.assign(label=None, label_known_at=None)), data).valid
    assert valid["label"].isna().all()
    assert str(valid["label_known_at"].dtype) == "datetime64[ns, UTC]"


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("wind", ["12.5"] * 100, "expected numbers in wind, got values such as '12.5'"),
        ("wind", [True] * 100, "expected numbers in wind, got values such as True"),
        ("row_id", range(100), "expected text in row_id, got values of type int"),
        ("label", [0.5] * 100, "expected 0, 1 or null in label, got values such as 0.5"),
        (
            "label",
            [2.0**63] * 100,
            "expected 0, 1 or null in label, got values such as 9.223372036854776e+18",
        ),
        ("event_time", range(100), "expected times with a time zone in event_time, got values such as 0"),
        (
            "event_time",
            pd.date_range("2026-01-05", periods=100, freq="h"),
            "expected times with a time zone in event_time, got values such as Timestamp('2026-01-05 00:00:00')",
        ),
    ],
)
def test_a_column_of_another_type_refuses_the_batch(
    land: Land, week: pd.DataFrame, data: params.Data, column: str, values: Any, reason: str
) -> None:
    with pytest.raises(BatchRejected) as rejected:
        checked_batch(land(week.assign(**{column: values})), data)
    assert rejected.value.reason == reason


@pytest.mark.parametrize("kind", ["int32", "Int64", "float32", "category"])
def test_numbers_of_any_kind_become_float64(
    land: Land, week: pd.DataFrame, data: params.Data, kind: Any
) -> None:
    valid = checked_batch(land(week.assign(wind=week["wind"].astype(kind))), data).valid
    assert list(valid["wind"].head(3)) == [0.0, 1.0, 2.0]
    assert valid["wind"].dtype == "float64"


def test_a_released_batch_may_exceed_the_shares(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week["wind"] += 1000
    week["region"] = "west"
    checked = checked_batch(land(week, note=RELEASED), data)
    assert (len(checked.valid), len(checked.bad)) == (100, 0)
    assert checked.unseen == {"region": 100}


def test_a_released_row_must_still_be_usable(land: Land, week: pd.DataFrame, data: params.Data) -> None:
    week.loc[:4, "wind"] = [float("inf"), float("nan"), 1000.0, 3.0, 4.0]
    week.loc[3, "label"] = 7
    week.loc[4, "row_id"] = "row-2"
    checked = checked_batch(land(week, note=RELEASED), data)
    assert list(checked.bad["fault"]) == [
        "wind: expected 0 to 150, got inf",
        "wind: expected a value, got null",
        "label: expected 0, 1 or null, got 7",
        "row_id: expected an id that occurs once, got a duplicate",
    ]
    assert checked.valid["wind"].iloc[0] == 1000.0


def test_a_released_batch_must_still_have_its_columns(
    land: Land, week: pd.DataFrame, data: params.Data
) -> None:
    with pytest.raises(BatchRejected, match="got none called wind"):
        checked_batch(land(week.drop(columns="wind"), note=RELEASED), data)


def test_a_released_batch_without_a_usable_row_is_refused(
    land: Land, week: pd.DataFrame, data: params.Data
) -> None:
    with pytest.raises(
        BatchRejected, match="expected rows that keep the contract, got none; the first: label:"
    ):
        checked_batch(land(week.assign(label=7), note=RELEASED), data)
