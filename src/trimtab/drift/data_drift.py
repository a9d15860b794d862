"""Data drift: how far each feature of a batch lies from the reference, by Evidently on a stated sample of rows."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from trimtab.contracts import ColumnDrift, DataDrift
from trimtab.params import Params

SaveReport = Callable[[str], object]
"""Writes Evidently's page, for people, to the file with this name."""


def measure(reference: pd.DataFrame, current: pd.DataFrame, params: Params) -> tuple[DataDrift, SaveReport]:
    """Compare a batch with the reference, feature by feature.

    A feature that is empty on one side only has drifted by definition; it is left out of Evidently's report, which one
    such column would end. After a change of the data contract, features are compared that both have, of the same kind.

    Args:
        reference: Features of the rows that the champion was trained on, or a sample of them, as `train.design` gives them.
        current: Features of the batch.
        params: `drift.data.sample_rows` rows of each are looked at, drawn with `model.seed`.

    Returns:
        The figures, and what writes Evidently's report.
    """
    common = [
        name
        for name in reference.columns.intersection(current.columns)
        if is_numeric_dtype(reference[name]) == is_numeric_dtype(current[name])
    ]
    ours, theirs = (_sample(frame[common], params) for frame in (reference, current))
    empty = {name: (bool(ours[name].isna().all()), bool(theirs[name].isna().all())) for name in ours.columns}
    compared = [name for name, sides in empty.items() if not any(sides)]
    save_report, columns = _evidently(ours[compared], theirs[compared], params)
    columns += [
        ColumnDrift(column=name, statistic="all null", score=1.0, threshold=0.0, drifted=True)
        for name, sides in empty.items()
        if any(sides) and not all(sides)
    ]
    share = sum(column.drifted for column in columns) / max(1, len(columns))
    return DataDrift(sampled=len(theirs), share=share, columns=tuple(columns)), save_report


def _sample(frame: pd.DataFrame, params: Params) -> pd.DataFrame:
    rows = params.drift.data.sample_rows
    return frame.sample(rows, random_state=params.model.seed) if len(frame) > rows else frame


def _evidently(
    reference: pd.DataFrame, current: pd.DataFrame, params: Params
) -> tuple[SaveReport, list[ColumnDrift]]:
    os.environ["DO_NOT_TRACK"] = "1"
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    categories = [name for name in reference.columns if name in params.data.categories]
    definition = DataDefinition(
        numerical_columns=[name for name in reference.columns if name not in categories],
        categorical_columns=categories,
    )
    report = Report([DataDriftPreset(drift_share=params.drift.data.max_share)]).run(
        Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition)
    )
    return report.save_html, [
        _column_drift(float(metric["value"]), metric["config"])
        for metric in report.dict()["metrics"]
        if metric["config"]["type"].endswith(":ValueDrift")
    ]


def _column_drift(score: float, config: Mapping[str, Any]) -> ColumnDrift:
    threshold, method = float(config["threshold"]), config["method"]
    # Evidently's statistics are distances or p-values; only of a p-value is little much.
    drifted = score < threshold if "p_value" in method else score >= threshold
    return ColumnDrift(
        column=config["column"], statistic=method, score=score, threshold=threshold, drifted=drifted
    )
