"""Files that contain rows: parquet files with row ids, and MLflow's samples and examples of features without them."""

import io
import json
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from trimtab.data.schema import ROW_ID

_PARQUET = b"PAR1"
Key = tuple[object, ...]


def of_rows(content: bytes, ids: Collection[str]) -> "pd.DataFrame | None":
    """Return the rows of a parquet file with one of the ids; None if it has no such row, or no row ids at all."""
    frame = _read(content)
    if frame is None or ROW_ID not in frame:
        return None
    rows = frame[frame[ROW_ID].astype(str).isin(list(ids))]
    return None if rows.empty else rows


def without_rows(content: bytes, ids: Collection[str]) -> bytes:
    """Return a parquet file without the rows with one of the ids."""
    frame = pd.read_parquet(io.BytesIO(content))
    return _parquet(frame[~frame[ROW_ID].astype(str).isin(list(ids))])


def keys(rows: pd.DataFrame, features: Sequence[str]) -> frozenset[Key]:
    """Return the features of each row in a form that can be compared with rows of MLflow's files."""
    return frozenset(_keys(rows, features))


def without_features(
    name: str, content: bytes, erased: Collection[Key], features: Sequence[str]
) -> bytes | None:
    """Return a file of features without the rows that equal an erased row; None if there is no such row.

    Args:
        name: Of the file: a parquet file, or an example in one of MLflow's JSON formats or trimtab's.
        content: Of the file.
        erased: What `keys` returns for the erased rows.
        features: Names of the features.
    """
    if name.endswith(".parquet"):
        frame = _read(content)
        left = None if frame is None else _left(frame, erased, features)
        return None if frame is None or left is None else _parquet(frame.iloc[left])
    example = json.loads(content)
    if "predicted" in example:
        rows, parts = pd.DataFrame(example["rows"]), example
    else:
        parts = example.get("dataframe_split", example)
        rows = pd.DataFrame(parts["data"], columns=parts["columns"])
    left = _left(rows, erased, features)
    if left is None:
        return None
    for name in {"rows", "predicted", "data", "index"} & parts.keys():
        parts[name] = [parts[name][position] for position in left]
    return json.dumps(example).encode()


def _left(frame: pd.DataFrame, erased: Collection[Key], features: Sequence[str]) -> list[int] | None:
    """Return the positions of the rows that are not erased; None if all are left."""
    if not set(features) <= set(frame.columns):
        return None
    left = [position for position, key in enumerate(_keys(frame, features)) if key not in erased]
    return None if len(left) == len(frame) else left


def _keys(frame: pd.DataFrame, features: Sequence[str]) -> list[Key]:
    columns = [[_plain(value) for value in frame[name].astype(object)] for name in features]
    return list(zip(*columns, strict=True))


def _plain(value: Any) -> object:
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, str) else float(value)


def _read(content: bytes) -> "pd.DataFrame | None":
    if not content.startswith(_PARQUET):
        return None
    try:
        return pd.read_parquet(io.BytesIO(content))
    except Exception:  # a damaged file in quarantine; pyarrow and pandas raise errors of many kinds
        return None


def _parquet(frame: pd.DataFrame) -> bytes:
    return frame.to_parquet(index=False)
