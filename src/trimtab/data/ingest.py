"""Checks a landed batch against the data contract: accepts it, refuses some of its rows, or refuses all of it."""

import math
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from trimtab import params
from trimtab.data import columns, schema, validation
from trimtab.data.landing import Landed
from trimtab.errors import BatchRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A batch after the check.

    `valid` are the rows to ingest, `bad` those to refuse, with a column `fault`; `unseen` counts the values of each category
    feature that the parameters do not declare.
    """

    valid: pd.DataFrame
    bad: pd.DataFrame
    unseen: dict[str, int]


def check(landed: Landed, data: params.Data, *, now: datetime) -> Checked:
    """Apply the contract.

    Columns that are missing, unknown or of the wrong type refuse the batch. Faulty rows are refused; if their share is above
    `data.max_bad_share`, so is the batch. Undeclared categories are allowed up to the share `data.max_unseen_share` in each
    feature. Of several rows with the same id, the first is valid. In a batch that an operator released, both shares may be
    exceeded and numbers may be out of range.

    Args:
        landed: The batch.
        data: The contract.
        now: No label may have become known later than this.

    Raises:
        BatchRejected: The batch is refused as a whole.
    """
    frame = _structured(landed, data)
    faults = pd.concat([validation.row_faults(frame, data), _future_labels(frame, now)], ignore_index=True)
    unseen = schema.unseen(frame, data)
    if landed.released_by is not None:
        places = zip(faults["row"], faults["column"], strict=True)
        faults = faults[pd.Series([not _usable(frame, row, name) for row, name in places], dtype=bool)]
    by_row = faults.groupby("row")["fault"].agg("; ".join)
    if landed.released_by is None:
        _refuse_shares(landed.batch, frame, by_row, unseen, data)
    valid = frame.drop(index=by_row.index).reset_index(drop=True)
    if valid.empty:
        raise BatchRejected(
            landed.batch,
            f"expected rows that keep the contract, got none; the first: {by_row.iloc[0]}",
            _first_id(frame, by_row),
        )
    bad = landed.frame.iloc[by_row.index].assign(fault=by_row.to_numpy()).reset_index(drop=True)
    return Checked(valid=valid, bad=bad, unseen=unseen)


def _future_labels(frame: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return the rows whose label became known later than now, in the form of `validation.row_faults`."""
    times = frame[schema.KNOWN_AT]
    future = times[times > now]
    faults = [
        f"{schema.KNOWN_AT}: expected a time that has passed, got {time.isoformat()}" for time in future
    ]
    return pd.DataFrame({"row": future.index.astype(int), "column": schema.KNOWN_AT, "fault": faults})


def _usable(frame: pd.DataFrame, row: int, column: str) -> bool:
    """Return whether a model can use a faulty value: a number out of range, but not a null that is not allowed."""
    value = frame[column].iloc[row]
    own = column in (schema.ROW_ID, schema.EVENT_TIME, *schema.LABEL_COLUMNS)
    return not own and isinstance(value, float) and math.isfinite(value)


def _refuse_shares(
    batch: str, frame: pd.DataFrame, by_row: "pd.Series[str]", unseen: dict[str, int], data: params.Data
) -> None:
    rows, share = len(frame), len(by_row) / len(frame)
    if share > data.max_bad_share:
        raise BatchRejected(
            batch,
            f"expected at most {data.max_bad_share:.1%} faulty rows (data.max_bad_share), got {share:.1%}, "
            f"{len(by_row)} of {rows}; the first: {by_row.iloc[0]}",
            _first_id(frame, by_row),
        )
    for feature, count in unseen.items():
        if count / rows > data.max_unseen_share:
            raise BatchRejected(
                batch,
                f"expected at most {data.max_unseen_share:.1%} undeclared categories in {feature} "
                f"(data.max_unseen_share), got {count / rows:.1%}, {count} of {rows} rows",
            )


def _first_id(frame: pd.DataFrame, by_row: "pd.Series[str]") -> tuple[str, ...]:
    """Return the id of the first faulty row, or nothing if it has no id."""
    return tuple(frame[schema.ROW_ID].iloc[by_row.index[:1]].dropna())


def _structured(landed: Landed, data: params.Data) -> pd.DataFrame:
    """Return the batch with the contract's columns and types, or refuse it."""
    batch, frame = landed.batch, landed.frame
    declared = schema.columns(data)
    missing = [name for name in declared if name not in frame.columns]
    if missing:
        raise BatchRejected(
            batch, f"expected the columns of params.yaml, got none called {', '.join(missing)}"
        )
    unknown = [str(name) for name in frame.columns if name not in declared]
    if unknown:
        raise BatchRejected(batch, f"expected the columns of params.yaml only, got {', '.join(unknown)} too")
    # A batch may land before any of its labels is known, and before clients of the service send a new feature.
    unsent = [name for name in landed.unsent if name in data.features and data.features[name].nullable]
    filled = [name for name in declared if name not in (*schema.LABEL_COLUMNS, *unsent)]
    empty = [name for name in filled if frame[name].isna().all()]
    if empty:
        raise BatchRejected(batch, f"expected values, got nothing but nulls in {', '.join(empty)}")
    typed = columns.typed(batch, frame, data)
    times = typed[schema.EVENT_TIME]
    outside = times[times.notna() & ~times.between(landed.start, landed.end, inclusive="left")]
    if len(outside):
        raise BatchRejected(
            batch,
            f"expected {schema.EVENT_TIME} from {landed.start.isoformat()} to before {landed.end.isoformat()}, got "
            f"{outside.iloc[0].isoformat()} and {len(outside) - 1} more outside",
        )
    return typed
