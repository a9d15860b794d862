"""Quality of each week as one inline SVG; the style sheet of the page sets its colours."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples.flights.records import Line, Week
from trimtab.contracts import BatchScore

COLOURS = {
    "--ink": "#0a0b0c",
    "--grid": "#0a0b0d",
    "--managed": "#0a0b0e",
    "--never": "#0a0b0f",
    "--quiet": "#0a0b10",
}
"""Variable of the style sheet -> the placeholder colour that matplotlib writes and `_themed` replaces."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trimtab",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": COLOURS["--ink"],
    "axes.labelcolor": COLOURS["--ink"],
    "axes.edgecolor": COLOURS["--grid"],
    "xtick.color": COLOURS["--ink"],
    "ytick.color": COLOURS["--ink"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": COLOURS["--grid"],
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_WEEKS_WITH_EVERY_LABEL = 16
_EVENTS: tuple[tuple[str, str, str, Callable[[Week], bool]], ...] = (
    ("data drift", "s", "--quiet", lambda week: week.observed is not None and week.observed.data_drift),
    ("concept drift", "^", "--never", lambda week: week.observed is not None and week.observed.concept_drift),
    ("retraining", "o", "--ink", lambda week: bool(week.retrained)),
    ("promotion", "D", "--managed", lambda week: bool(week.promoted)),
)


def draw(weeks: Sequence[Week], never: Line | None) -> str:
    """Draw AUC, log loss and events by week, managed and never retrained; return an `<svg>`."""
    names = [week.batch for week in weeks]
    managed = {week.batch: week.served.score for week in weeks}
    other = {score.batch: score for score in never.scores} if never else {}
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # its stubs list every key as a literal
        figure = Figure(figsize=(8, 6.4), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.5])
        _quality(axes[0], names, managed, other, "AUC", lambda score: score.auc)
        _quality(axes[1], names, managed, other, "log loss", lambda score: score.loss)
        _events(axes[2], weeks)
        for axis in axes:
            _promotions(axis, weeks, labelled=axis is axes[0])
        _week_ticks(axes[2], names)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(text.getvalue())


def _quality(
    axis: Axes,
    names: Sequence[str],
    managed: Mapping[str, BatchScore],
    never: Mapping[str, BatchScore],
    label: str,
    figure_of: Callable[[BatchScore], float | None],
) -> None:
    # The dashed line is on top, so that both are visible where they are equal.
    for scores, colour, style in ((managed, "--managed", "solid"), (never, "--never", (0, (4, 2)))):
        values = [figure_of(scores[name]) if name in scores else None for name in names]
        axis.plot(
            range(len(names)),
            np.array(values, dtype=float),
            color=COLOURS[colour],
            linestyle=style,
            linewidth=2,
            marker="o",
            markersize=3,
        )
    axis.set_ylabel(label)


def _events(axis: Axes, weeks: Sequence[Week]) -> None:
    for row, (_, marker, colour, happened) in enumerate(_EVENTS):
        places = [place for place, week in enumerate(weeks) if happened(week)]
        axis.plot(places, [row] * len(places), marker, color=COLOURS[colour], markersize=6)
    axis.set_yticks(range(len(_EVENTS)), [name for name, *_ in _EVENTS])
    axis.set_ylim(len(_EVENTS) - 0.5, -0.5)


def _promotions(axis: Axes, weeks: Sequence[Week], *, labelled: bool) -> None:
    for place, week in enumerate(weeks):
        for decision in week.promoted:
            axis.axvline(place + 0.5, color=COLOURS["--managed"], linewidth=1, linestyle=(0, (1, 2)))
            if labelled:
                axis.annotate(
                    f"v{decision.version}",
                    (place + 0.5, 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=9,
                )


def _week_ticks(axis: Axes, names: Sequence[str]) -> None:
    step = 1 if len(names) <= _WEEKS_WITH_EVERY_LABEL else 4
    places = list(range(0, len(names), step))
    axis.set_xticks(places, [names[place].split("-", 1)[-1] for place in places])
    axis.set_xlim(-0.6, max(len(names) - 0.4, 0.6))


def _themed(svg: str) -> str:
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).replace("xlink:href", "href")
    # Whatever stands before the root element is for a file of its own.
    svg = re.sub(
        r'^.*?<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        r'<svg viewBox="\1" aria-hidden="true">',
        svg,
        count=1,
        flags=re.DOTALL,
    )
    for variable, sentinel in COLOURS.items():
        svg = svg.replace(sentinel, f"var({variable})")
    return svg
