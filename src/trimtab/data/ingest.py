"""Check a landed batch against the contract: what is kept, what rows are refused, or that the batch is."""

import math
from dataclasses import dataclass

import pandas as pd

from trimtab import params
from trimtab.data import columns, schema, validation
from trimtab.data.landing import Landed
from trimtab.errors import BatchRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A batch after the check: rows to keep, rows to refuse with a `fault` column, undeclared categories counted."""

    kept: pd.DataFrame
    bad: pd.DataFrame
    unseen: dict[str, int]


def check(landed: Landed, data: params.Data) -> Checked:
    """Apply the contract.

    Structural faults refuse the batch; faulty rows are set apart up to `data.max_bad_share`, above it the batch is
    refused; undeclared categories are counted, and refuse the batch above `data.max_unseen_share` in one feature. Of
    several rows with one id the first is kept. In what a person released both shares may be exceeded and numbers may
    lie outside their range; all else is refused as ever.

    Raises:
        BatchRejected: As said, with the reason.
    """
    frame = _structured(landed, data)
    faults = validation.row_faults(frame, data)
    unseen = schema.unseen(frame, data)
    if landed.released_by is not None:
        places = zip(faults["row"], faults["column"], strict=True)
        faults = faults[pd.Series([not _usable(frame, row, name) for row, name in places], dtype=bool)]
    by_row = faults.groupby("row")["fault"].agg("; ".join)
    if landed.released_by is None:
        _refuse_shares(landed.batch, len(frame), by_row, unseen, data)
    kept = frame.drop(index=by_row.index).reset_index(drop=True)
    if kept.empty:
        raise BatchRejected(
            landed.batch, f"expected rows that keep the contract, got none; the first: {by_row.iloc[0]}"
        )
    bad = landed.frame.iloc[by_row.index].assign(fault=by_row.to_numpy()).reset_index(drop=True)
    return Checked(kept=kept, bad=bad, unseen=unseen)


def _usable(frame: pd.DataFrame, row: int, column: str) -> bool:
    """Whether a model can work with a faulty value: a number outside its range, but no null where one is forbidden."""
    if column in (schema.ROW_ID, schema.EVENT_TIME, *schema.LABEL_COLUMNS):
        return False
    value = frame[column].iloc[row]
    return isinstance(value, float) and math.isfinite(value)


def _refuse_shares(
    batch: str, rows: int, by_row: "pd.Series[str]", unseen: dict[str, int], data: params.Data
) -> None:
    share = len(by_row) / rows
    if share > data.max_bad_share:
        raise BatchRejected(
            batch,
            f"expected at most {data.max_bad_share:.1%} faulty rows (data.max_bad_share), got {share:.1%}, "
            f"{len(by_row)} of {rows}; the first: {by_row.iloc[0]}",
        )
    for feature, count in unseen.items():
        if count / rows > data.max_unseen_share:
            raise BatchRejected(
                batch,
                f"expected at most {data.max_unseen_share:.1%} undeclared categories in {feature} "
                f"(data.max_unseen_share), got {count / rows:.1%}, {count} of {rows} rows",
            )


def _structured(landed: Landed, data: params.Data) -> pd.DataFrame:
    """Return the batch with the contract's columns and types; a fault that concerns all rows refuses it."""
    batch, frame = landed.batch, landed.frame
    wanted = schema.columns(data)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise BatchRejected(
            batch, f"expected the columns of params.yaml, got none called {', '.join(missing)}"
        )
    unknown = [str(name) for name in frame.columns if name not in wanted]
    if unknown:
        raise BatchRejected(batch, f"expected the columns of params.yaml only, got {', '.join(unknown)} too")
    # Labels come late: a batch without any is a batch.
    empty = [name for name in wanted if name not in schema.LABEL_COLUMNS and frame[name].isna().all()]
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
