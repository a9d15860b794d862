"""The heat map of the features' drift over the batches."""

from collections.abc import Sequence

from markupsafe import Markup

from trimtab.views.page.plots import plot
from trimtab.views.page.scale import Across
from trimtab.views.page.view import Batch, Cell, Health

LEVELS = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Scores, in thresholds, at which the colour changes: below 1 it is cold, from there on warm."""
LEGEND = (
    "below ¼ of the threshold",
    "¼ to ½",
    "½ to 1",
    "1 to 1½",
    "1½ to 2",
    "2 thresholds and more",
)
_ROW = 17
_LETTERS = 19
"""Of a feature's name, so that it fits beside the map."""
_FEATURES = 40
"""Features that the map shows at most; the table below it has all."""


def heat(health: Health) -> Markup:
    """Draw each feature's drift over the batches, in thresholds; what drifted has a dot."""
    across, shown = Across(health.batches), features(health.batches)[:_FEATURES]
    cells: list[Markup] = []
    for place, one in enumerate(health.batches):
        by_name = {cell.feature: cell for cell in one.measured.cells} if one.measured else {}
        for row, feature in enumerate(shown):
            if feature in by_name:
                cells.append(_cell(by_name[feature], one.batch, place, row, across))
    labels = [
        Markup('<text x="100%" dx="-8" y="{}">{}</text>').format(row * _ROW + 13, _fitting(feature))
        for row, feature in enumerate(shown)
    ]
    said = f"Drift of {len(shown)} features over {len(health.batches)} batches, in thresholds"
    return plot(labels, cells, _ROW * len(shown), said)


def features(batches: Sequence[Batch]) -> list[str]:
    """Return the features that were measured: those that drifted in most batches first."""
    drifted: dict[str, tuple[int, float]] = {}
    for one in batches:
        for cell in one.measured.cells if one.measured else ():
            count, total = drifted.get(cell.feature, (0, 0.0))
            drifted[cell.feature] = count + cell.drifted, total + min(cell.ratio, LEVELS[-1])
    return sorted(drifted, key=lambda feature: drifted[feature], reverse=True)


def _cell(cell: Cell, batch: str, place: int, row: int, across: Across) -> Markup:
    level = sum(cell.ratio >= one for one in LEVELS)
    drawn = Markup(
        '<rect class="heat{}" x="{}" width="{}" y="{}" height="{}"><title>{}</title></rect>'
    ).format(
        level,
        across.left(place),
        across.span(1),
        row * _ROW,
        _ROW,
        f"{cell.feature}, {batch}: {cell.score:.3g} (threshold {cell.threshold:g})",
    )
    if not cell.drifted:
        return drawn
    return drawn + Markup('<circle class="drifted" cx="{}" cy="{}" r="2.5"/>').format(
        across.middle(place), row * _ROW + _ROW / 2
    )


def _fitting(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
