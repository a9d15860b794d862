import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from trimtab import params
from trimtab.data import schema, validation


def test_a_request_has_no_label(data: params.Data) -> None:
    assert {*schema.columns(data)} - {*schema.columns(data, labelled=False)} == {"label", "label_known_at"}


def test_faults_name_row_and_column(week: pd.DataFrame, data: params.Data) -> None:
    week.loc[3, "wind"] = 200.0
    week.loc[1, "region"] = None
    assert validation.row_faults(week.astype({"cloud": "float64"}), data).to_dict("records") == [
        {"row": 1, "column": "region", "fault": "region: expected a value, got null"},
        {"row": 3, "column": "wind", "fault": "wind: expected 0 to 150, got 200.0"},
    ]


def test_an_undeclared_category_is_counted_and_is_no_fault(week: pd.DataFrame, data: params.Data) -> None:
    week.loc[:2, "region"] = "west"
    assert schema.unseen(week, data) == {"region": 3}
    assert validation.row_faults(week.astype({"cloud": "float64"}), data).empty


def test_a_null_is_no_undeclared_category(week: pd.DataFrame, data: params.Data) -> None:
    assert schema.unseen(week.assign(region=None), data) == {}


def test_a_frame_of_other_types_is_no_matter_of_rows(week: pd.DataFrame, data: params.Data) -> None:
    with pytest.raises(TypeError, match="The frame was not normalised"):
        validation.row_faults(week.assign(wind="strong"), data)


def test_a_long_value_is_cut(week: pd.DataFrame, data: params.Data) -> None:
    label = params.Multiclass(kind="multiclass", classes=["calm", "storm"])
    week["label"] = week["label"].astype(object).map({0: "calm", 1: "x" * 1000})
    changed = data.model_copy(update={"label": label})
    faults = validation.row_faults(week.astype({"cloud": "float64"}), changed)["fault"]
    assert set(faults) == {f"label: expected calm, storm or null, got {'x' * 80}..."}


def test_the_schema_knows_no_other_columns(week: pd.DataFrame, data: params.Data) -> None:
    with pytest.raises(SchemaErrors, match="column 'delay' not in DataFrameSchema"):
        validation.frame_schema(data).validate(week.astype({"cloud": "float64"}).assign(delay=1))
