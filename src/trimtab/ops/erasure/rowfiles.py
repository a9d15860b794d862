"""Files that hold rows: parquet with row ids, and what MLflow keeps of features without them."""

import io
import json
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from trimtab.data.schema import ROW_ID

_PARQUET = b"PAR1"
Key = tuple[object, ...]


def of_rows(content: bytes, ids: Collection[str]) -> "pd.DataFrame | None":
    """Return the rows of a parquet file that carry one of the ids; None when none does, or it is no file of rows."""
    frame = _read(content)
    if frame is None or ROW_ID not in frame:
        return None
    found = frame[frame[ROW_ID].astype(str).isin(list(ids))]
    return None if found.empty else found


def without_rows(content: bytes, ids: Collection[str]) -> bytes:
    """Return a parquet file without the rows that carry one of the ids."""
    frame = pd.read_parquet(io.BytesIO(content))
    return _written(frame[~frame[ROW_ID].astype(str).isin(list(ids))])


def keys(rows: pd.DataFrame, features: Sequence[str]) -> frozenset[Key]:
    """Return the features of rows as what can be compared with what MLflow keeps of them."""
    return frozenset(_keys(rows, features))


def without_features(
    name: str, content: bytes, wanted: Collection[Key], features: Sequence[str]
) -> bytes | None:
    """Return a file of features, parquet or an example, without the rows that equal one; None when none does."""
    if name.endswith(".parquet"):
        return _parquet_without(content, wanted, features)
    example = json.loads(content)
    if "predicted" in example:
        kept = _kept(pd.DataFrame(example["rows"]), wanted, features)
        if kept is None:
            return None
        left = {part: [example[part][place] for place in kept] for part in ("rows", "predicted")}
        return json.dumps({**example, **left}).encode()
    split = example.get("dataframe_split", example)
    kept = _kept(pd.DataFrame(split["data"], columns=split["columns"]), wanted, features)
    if kept is None:
        return None
    for part in ("data", "index"):
        if part in split:
            split[part] = [split[part][place] for place in kept]
    return json.dumps(example).encode()


def _parquet_without(content: bytes, wanted: Collection[Key], features: Sequence[str]) -> bytes | None:
    frame = _read(content)
    kept = None if frame is None else _kept(frame, wanted, features)
    return None if frame is None or kept is None else _written(frame.iloc[kept])


def _kept(frame: pd.DataFrame, wanted: Collection[Key], features: Sequence[str]) -> list[int] | None:
    if not set(features) <= set(frame.columns):
        return None
    kept = [place for place, key in enumerate(_keys(frame, features)) if key not in wanted]
    return None if len(kept) == len(frame) else kept


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
    except Exception:  # a damaged file, which quarantine keeps as it came; pyarrow and pandas raise all kinds
        return None


def _written(frame: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    return content.getvalue()
