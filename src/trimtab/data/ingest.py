"""Check a landed batch against the contract: what is kept, what rows are refused, or that the batch is."""

from dataclasses import dataclass

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from trimtab import params
from trimtab.data import schema
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
    refused; undeclared categories are counted, and refuse the batch above `data.max_unseen_share` in one feature. What
    a person released is kept whole: only structural faults refuse it.

    Raises:
        BatchRejected: As said, with the reason.
    """
    frame = _normalised(landed, data)
    unseen = schema.unseen(frame, data)
    faults = schema.row_faults(frame, data)
    by_row = faults.groupby("row")["fault"].agg("; ".join) if len(faults) else pd.Series(dtype=object)
    # The first of several rows with one id stays.
    repeated = frame.index[frame[schema.ROW_ID].duplicated()]
    only_first = [row for row in by_row.index if _only_duplicate(by_row[row]) and row not in repeated]
    by_row = by_row.drop(only_first)
    if landed.released_by is not None:
        if len(repeated):
            raise BatchRejected(landed.batch, f"expected ids that occur once, got {len(repeated)} repeated, even released")
        return Checked(kept=frame, bad=frame.head(0).assign(fault=""), unseen=unseen)
    _refuse_shares(landed.batch, len(frame), by_row, unseen, data)
    bad = landed.frame.iloc[by_row.index].assign(fault=by_row.to_numpy())
    return Checked(
        kept=frame.drop(index=by_row.index).reset_index(drop=True), bad=bad.reset_index(drop=True), unseen=unseen
    )


def _only_duplicate(faults: str) -> bool:
    return faults.startswith(f"{schema.ROW_ID}: expected an id that occurs once") and ";" not in faults


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


def _normalised(landed: Landed, data: params.Data) -> pd.DataFrame:
    batch, frame = landed.batch, landed.frame
    wanted = schema.columns(data)
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise BatchRejected(batch, f"expected the columns of params.yaml, got none called {', '.join(missing)}")
    unknown = [str(name) for name in frame.columns if name not in wanted]
    if unknown:
        raise BatchRejected(batch, f"expected the columns of params.yaml only, got {', '.join(unknown)} too")
    empty = [name for name in wanted if frame[name].isna().all()]
    if empty:
        raise BatchRejected(batch, f"expected values, got nothing but nulls in {', '.join(empty)}")
    typed = pd.DataFrame({name: _typed(batch, name, frame[name], data) for name in wanted}).reset_index(drop=True)
    outside = ~typed[schema.EVENT_TIME].between(landed.start, landed.end, inclusive="left")
    if outside.any():
        raise BatchRejected(
            batch,
            f"expected {schema.EVENT_TIME} from {landed.start.isoformat()} to before {landed.end.isoformat()}, got "
            f"{typed[schema.EVENT_TIME][outside].iloc[0]} and {int(outside.sum()) - 1} more outside",
        )
    return typed


def _typed(batch: str, name: str, values: "pd.Series[object]", data: params.Data) -> "pd.Series[object]":
    try:
        if name in (schema.EVENT_TIME, schema.KNOWN_AT):
            if is_numeric_dtype(values):
                raise TypeError("numbers where times were expected")
            return pd.to_datetime(values, utc=True).astype("datetime64[ns, UTC]")  # type: ignore[return-value]  # stubs
        if name == schema.LABEL:
            return pd.to_numeric(values).astype("Int64")  # type: ignore[return-value]  # pandas-stubs
        if isinstance(data.features.get(name), params.Number):
            if is_bool_dtype(values) or not is_numeric_dtype(values):
                raise TypeError(f"values such as {values.dropna().iloc[0]!r}")
            return values.astype("float64")  # type: ignore[return-value]  # pandas-stubs
    except (TypeError, ValueError) as error:
        kind = "times" if name in (schema.EVENT_TIME, schema.KNOWN_AT) else "numbers"
        raise BatchRejected(batch, f"expected {kind} in {name}, got {str(error).splitlines()[0]}") from error
    return _text(batch, name, values)


def _text(batch: str, name: str, values: "pd.Series[object]") -> "pd.Series[object]":
    text = values.astype(object).where(values.notna(), None)
    wrong = text.map(lambda value: value is not None and not isinstance(value, str))
    if wrong.any():
        raise BatchRejected(batch, f"expected text in {name}, got values such as {text[wrong].iloc[0]!r}")
    return text
