"""The heat map of the features' drift over the batches."""

from collections.abc import Sequence
from math import log

from markupsafe import Markup

from trimtab.contracts import ColumnDrift
from trimtab.views.page.plots import plot
from trimtab.views.page.scale import Across
from trimtab.views.page.view import Health, MeasuredBatch

LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Scores, in thresholds, at which the colour changes: cold below 1, warm from 1 on."""
LEGEND = (
    "below ¼ of the threshold",
    "¼ to ½",
    "½ to 1",
    "1 to 1½",
    "1½ to 2",
    "2 thresholds and more",
)
_ROW_HEIGHT = 17
_MAX_LETTERS = 19
"""Longer names of features do not fit beside the map, and are cut."""
_MAX_FEATURES = 40
"""The map shows so many features at most; the table below it has all."""
_SMALLEST_P_VALUE = 1e-300


def heat(health: Health) -> Markup:
    """Draw each feature's drift over the batches, in thresholds; a feature that drifted has a dot."""
    across, names = Across(health.batches), features(health.batches)[:_MAX_FEATURES]
    cells = [
        _cell(column, batch.manifest.batch, place, names.index(name), across)
        for place, batch in enumerate(health.batches)
        for name, column in columns_of(batch).items()
        if name in names
    ]
    return plot(
        [
            (row * _ROW_HEIGHT + 13, name if len(name) <= _MAX_LETTERS else f"{name[: _MAX_LETTERS - 1]}…")
            for row, name in enumerate(names)
        ],
        cells,
        _ROW_HEIGHT * len(names),
        f"Drift of {len(names)} features over {len(health.batches)} batches, in thresholds",
    )


def features(batches: Sequence[MeasuredBatch]) -> list[str]:
    """Return the measured features; those that drifted in most batches come first."""
    drift: dict[str, tuple[int, float]] = {}
    for name, column in (item for batch in batches for item in columns_of(batch).items()):
        count, total = drift.get(name, (0, 0.0))
        drift[name] = count + column.drifted, total + min(in_thresholds(column), LEVELS[-1])
    return sorted(drift, key=lambda feature: drift[feature], reverse=True)


def columns_of(batch: MeasuredBatch) -> dict[str, ColumnDrift]:
    """Return the drift of each feature in a batch; empty before it was measured."""
    observation = batch.observation
    return {column.column: column for column in observation.data.columns} if observation else {}


def in_thresholds(column: ColumnDrift) -> float:
    """Return a score in thresholds, so that a feature drifts from 1 on.

    For a p-value, which is small when the drift is large, it is the ratio of the logarithms.
    """
    if "p_value" in column.statistic and 0 < column.threshold < 1:
        return log(max(column.score, _SMALLEST_P_VALUE)) / log(column.threshold)
    if column.threshold <= 0:
        return float("inf") if column.drifted else 0.0
    return column.score / column.threshold


def _cell(column: ColumnDrift, batch: str, place: int, row: int, across: Across) -> Markup:
    cell = Markup(
        '<rect class="heat{}" x="{}" width="{}" y="{}" height="{}"><title>{}</title></rect>'
    ).format(
        sum(in_thresholds(column) >= level for level in LEVELS),
        across.percent(place),
        across.percent(1),
        row * _ROW_HEIGHT,
        _ROW_HEIGHT,
        f"{column.column}, {batch}: {column.score:.3g} (threshold {column.threshold:g})",
    )
    if not column.drifted:
        return cell
    return cell + Markup('<circle class="drifted" cx="{}" cy="{}" r="2.5"/>').format(
        across.percent(place + 0.5), row * _ROW_HEIGHT + _ROW_HEIGHT / 2
    )
