"""Files that contain rows: parquet files with row ids, and MLflow's samples and examples of features without them."""

import io
import json
from collections.abc import Collection, Sequence

import pandas as pd

from trimtab.data.schema import ROW_ID

Key = tuple[object, ...]


def of_rows(content: bytes, ids: Collection[str]) -> pd.DataFrame:
    """Return the rows of a parquet file with one of the ids; none if it has no row ids at all, or is no parquet file."""
    frame = _read(content)
    return frame[frame[ROW_ID].astype(str).isin(list(ids))] if ROW_ID in frame else frame[:0]


def without_rows(content: bytes, ids: Collection[str]) -> bytes:
    """Return a parquet file without the rows with one of the ids."""
    frame = pd.read_parquet(io.BytesIO(content))
    return frame[~frame[ROW_ID].astype(str).isin(list(ids))].to_parquet(index=False)


def keys(frame: pd.DataFrame, features: Sequence[str]) -> list[Key]:
    """Return the features of each row in a form that can be compared with rows of MLflow's files."""
    columns = (
        [None if pd.isna(value) else value if isinstance(value, str) else float(value) for value in values]
        for values in (frame[name].astype(object) for name in features)
    )
    return list(zip(*columns, strict=True))


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
        left = _left(frame, erased, features)
        return None if left is None else frame.iloc[left].to_parquet(index=False)
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
    left = [position for position, key in enumerate(keys(frame, features)) if key not in erased]
    return None if len(left) == len(frame) else left


def _read(content: bytes) -> pd.DataFrame:
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (
        Exception
    ):  # no parquet file, or a damaged one in quarantine; pyarrow and pandas raise errors of many kinds
        return pd.DataFrame()
