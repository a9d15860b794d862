"""Make landed batches of the prediction log: what was served in a window, with what became of it."""

import logging
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from trimtab import params
from trimtab.data import landing, schema
from trimtab.data.windows import Window, ended
from trimtab.ledger import Batch, state
from trimtab.loop.loop import Loop, open_loop
from trimtab.predictions.opening import open_log
from trimtab.predictions.records import JoinedPrediction, Label

log = logging.getLogger(__name__)

_LAST_LOOK = timedelta(days=1)
"""How long after `until_days` a window is checked for the last time, in each run of the DAG."""


def gather() -> list[str]:
    """Land each window of the prediction log that is due, with `data.log` in force; return the ids of these batches.

    A window is due `wait_hours` after its end, and again when `again_share` of its rows are new or have another label
    than the batch that was made of it. In its last look, `until_days` after its end, one such row is enough.

    Raises:
        StoreUnreachable: The prediction log does not answer; nothing was landed of the window at hand.
    """
    loop = open_loop()
    rule = loop.params.data.log
    if rule is None:
        return []
    now, landed = loop.ledger.now(), []
    with closing(open_log(loop.stores.prediction_log, loop.params.predictions)) as store:
        for window in _windows(loop, rule, now):
            joined = store.joined(
                loop.model, start=window.start, end=window.end, by="event_time", known_by=now
            )
            rows = rows_of(joined, loop.params.data)
            if len(rows) and _due(loop, rule, window, rows, now):
                sent = {name for entry in joined for name in entry.prediction.features}
                unsent = [name for name in loop.params.data.features if name not in sent]
                _land(loop, window, rows, (now - window.end).total_seconds() / 3600, unsent)
                landed.append(window.batch)
    return landed


def _windows(loop: Loop, rule: params.Log, now: datetime) -> list[Window]:
    wait, until = timedelta(hours=rule.wait_hours), timedelta(days=rule.until_days) + _LAST_LOOK
    return [
        window
        for window in ended(rule.every, loop.params.data.zone, now=now, wait=wait, until=until)
        if not landing.files(loop.stores.landing, window.batch)
    ]


def _due(loop: Loop, rule: params.Log, window: Window, rows: pd.DataFrame, now: datetime) -> bool:
    record = next(iter(state.batches_in_force(loop.ledger.all(Batch, prefix=f"{window.batch}:r"))), None)
    if record is None:
        return True
    stored = loop.origin.fetch_batch(window.batch, md5=record.md5, commit=record.commit)
    before = _labels(stored)
    changed = sum(row not in before or before[row] != label for row, label in _labels(rows).items())
    is_last_look = now >= window.end + timedelta(days=rule.until_days)
    needed = 1.0 if is_last_look else max(1.0, rule.again_share * len(rows))
    return changed - record.manifest.bad_rows >= needed  # bad rows are new, and would be refused, each time


def _labels(rows: pd.DataFrame) -> dict[str, object]:
    labels = zip(rows[schema.ROW_ID], rows[schema.LABEL], strict=True)
    return {row: None if pd.isna(label) else label for row, label in labels}


def _land(loop: Loop, window: Window, frame: pd.DataFrame, age_hours: float, unsent: Sequence[str]) -> None:
    manifest = landing.LandingManifest(
        batch=window.batch,
        start=window.start,
        end=window.end,
        partial=False,
        label_age_hours=round(age_hours, 2),
        unsent=tuple(unsent) or None,
    )
    landing.land(loop.stores.landing, manifest, frame)
    labelled = int(frame[schema.LABEL].notna().sum())
    log.info("Batch %s: %s rows of the prediction log, %s labelled", window.batch, len(frame), labelled)


def rows_of(joined: Sequence[JoinedPrediction], data: params.Data) -> pd.DataFrame:
    """Return joined predictions as rows of a batch, with the contract's columns.

    A feature is null where it was not sent, or was of another kind before the contract changed.
    """
    columns: dict[str, object] = {
        schema.ROW_ID: [entry.prediction.row_id for entry in joined],
        schema.EVENT_TIME: _times([entry.prediction.event_time for entry in joined]),
    }
    for name, feature in data.features.items():
        is_number = isinstance(feature, params.Number)
        values = (entry.prediction.features.get(name) for entry in joined)
        columns[name] = pd.Series(
            [value if isinstance(value, str) is not is_number else None for value in values],
            dtype="float64" if is_number else object,
        )
    columns[schema.LABEL] = _labels_of([entry.label for entry in joined], data.label)
    columns[schema.KNOWN_AT] = _times([entry.label_known_at for entry in joined])
    return pd.DataFrame(columns)


def _labels_of(labels: Sequence[Label | None], label: params.Label) -> "pd.Series[Any]":
    """Return a column of labels. Where some are of another kind, all are texts: ingestion says which ones it refuses."""
    kind = {"binary": "Int64", "regression": "float64"}.get(label.kind)
    with suppress(TypeError, ValueError):
        if kind:
            return pd.Series(list(labels), dtype=kind)
    return pd.Series([None if each is None else str(each) for each in labels], dtype=object)


def _times(values: Sequence[datetime | None]) -> "pd.Series[pd.Timestamp]":
    return pd.Series(list(values), dtype="datetime64[ns, UTC]")
