"""Quality and regret of each week as one inline SVG; the style sheet of the page sets its colours."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples.flights.records import NEVER, SCHEDULE, Line, Quality, Week
from trimtab.replay.comparison import LOOP

COLOURS = {
    "--ink": "#0a0b0c",
    "--grid": "#0a0b0d",
    "--managed": "#0a0b0e",
    "--never": "#0a0b0f",
    "--schedule": "#0a0b10",
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
_LINES: dict[str, tuple[str, Any]] = {
    LOOP: ("--managed", "solid"),
    SCHEDULE: ("--schedule", (0, (1, 1))),
    NEVER: ("--never", (0, (4, 2))),
}
"""Policy -> colour and style of its line; a later line is on top, so that all are visible where they are equal."""


def draw(weeks: Sequence[Week], lines: Sequence[Line], limit: float) -> str:
    """Draw AUC and log loss of three policies, and the regret with its limit, by week; return an `<svg>`."""
    names = [week.batch for week in weeks]
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # its stubs list every key as a literal
        figure = Figure(figsize=(8, 7), layout="constrained")
        axes = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 2])
        _quality(axes[0], names, lines, "AUC", lambda quality: quality.auc)
        _quality(axes[1], names, lines, "log loss", lambda quality: quality.loss)
        _regret(axes[2], weeks, limit)
        for axis in axes:
            _moves(axis, weeks, labelled=axis is axes[0])
        _week_ticks(axes[2], names)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(text.getvalue())


def _quality(
    axis: Axes,
    names: Sequence[str],
    lines: Sequence[Line],
    label: str,
    figure_of: Callable[[Quality], float | None],
) -> None:
    by_policy = {line.row.policy: {each.batch: figure_of(each) for each in line.weeks} for line in lines}
    for policy, (colour, style) in _LINES.items():
        _line(axis, [by_policy.get(policy, {}).get(name) for name in names], colour, style)
    axis.set_ylabel(label)


def _regret(axis: Axes, weeks: Sequence[Week], limit: float) -> None:
    _line(
        axis, [100 * week.measured.regret if week.measured else None for week in weeks], "--managed", "solid"
    )
    axis.axhline(100 * limit, color=COLOURS["--ink"], linewidth=1, linestyle="dashed")
    axis.annotate(
        "trigger.regret", (1, 100 * limit), xycoords=("axes fraction", "data"), ha="right", va="bottom"
    )
    axis.set_ylabel("regret, %")


def _line(axis: Axes, values: Sequence[float | None], colour: str, style: Any) -> None:
    places, heights = range(len(values)), np.array(values, dtype=float)
    axis.plot(places, heights, color=COLOURS[colour], linestyle=style, linewidth=2, marker="o", markersize=3)


def _moves(axis: Axes, weeks: Sequence[Week], *, labelled: bool) -> None:
    """Mark deployments by dotted and rollbacks by solid lines."""
    for place, week in enumerate(weeks):
        for decision in filter(lambda each: each.moves, week.decisions):
            style = "solid" if decision.action == "ROLLBACK" else (0, (1, 2))
            axis.axvline(place + 0.5, color=COLOURS["--managed"], linewidth=1, linestyle=style)
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
