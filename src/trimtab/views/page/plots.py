"""The plots of the page as inline SVG; colours are the style sheet's.

Written by hand, for a plot here is some rectangles and marks: a year takes 10 ms, and matplotlib's import alone a second.
Without a view box, text and marks keep their size at any width.
"""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from trimtab.views.page.scale import Across, Down, down
from trimtab.views.page.view import Batch, Health, Measured, Reign

_QUALITY, _COVERAGE, _DATES = 230, 40, 22
NARROW = 0.045
"""Of the plot's width: below it there is no room for a word."""
_MARKS = {
    "concept": "M0,-6 L5.5,4.5 L-5.5,4.5 Z",
    "data": "M-4,-4 H4 V4 H-4 Z",
    "abstained": "M-4.5,-4.5 H4.5 V4.5 H-4.5 Z",
    "retraining": "M-4.5,0 A4.5,4.5 0 1 0 4.5,0 A4.5,4.5 0 1 0 -4.5,0 Z",
    "promoted": "M0,-6 L6,0 L0,6 L-6,0 Z",
    "back": "M0,6 L5.5,-4.5 L-5.5,-4.5 Z",
}
"""Each kind has a shape of its own: colour alone tells nothing here."""


def key(kind: str) -> Markup:
    """Draw the mark of a kind for a legend."""
    if kind == "band":
        return Markup(
            '<svg><rect class="band" width="100%" height="100%"/><line class="alarm" x2="100%"/></svg>'
        )
    if kind == "loss":
        return Markup(
            '<svg><line class="bounds" x1="50%" x2="50%" y2="100%"/><circle class="loss" cx="50%" cy="50%" r="3.5"/></svg>'
        )
    return Markup("<svg>{}</svg>").format(mark(kind, "50%", 7))


def mark(kind: str, x: str, y: float) -> Markup:
    """Draw one mark."""
    return Markup('<svg x="{}" y="{}" class="mark"><path class="{}" d="{}"/></svg>').format(
        x, y, kind, _MARKS[kind]
    )


def quality(health: Health) -> Markup:
    """Draw the loss of each batch with its bounds, against what fresh models lose and the alarm above it."""
    across, scale = Across(health.batches), _scale(health.batches)
    if scale is None:
        return Markup('<p class="empty">No batch was measured yet.</p>')
    inside: list[Markup] = [_grid(scale)]
    inside += _takeovers(health.reigns, across, _QUALITY)
    inside += _reference(health.batches, across, scale)
    inside += _trend(health.batches, across, scale)
    for place, one in enumerate(health.batches):
        inside += _point(one.measured, across.middle(place), scale)
    inside += _unmeasured(health.batches, across)
    inside += [_hover(place, _told(one), across, _QUALITY) for place, one in enumerate(health.batches)]
    ticks = [
        Markup('<text x="100%" dx="-8" y="{}">{:g}</text>').format(scale.at(one) + 4, one)
        for one in scale.ticks()
    ]
    said = f"{health.metric} by batch with 95 % bounds; {_counted(health)}"
    return plot(ticks, inside, _QUALITY, said)


def coverage(health: Health) -> Markup:
    """Draw the share of rows whose label is known, batch by batch."""
    across, bars = Across(health.batches), []
    for place, one in enumerate(health.batches):
        share = one.labelled / one.rows if one.rows else 0.0
        tall = round(share * (_COVERAGE - 4), 1)
        bars.append(
            Markup('<rect class="known" x="{}" width="{}" y="{}" height="{}"/>').format(
                across.left(place + 0.12), across.span(0.76), _COVERAGE - tall, tall
            )
        )
        text = f"{one.batch}: {one.labelled} of {one.rows} rows have a label"
        bars.append(_hover(place, text, across, _COVERAGE))
    whole = Markup('<line class="grid" x1="0" x2="100%" y1="4" y2="4"/>')
    labels = [
        Markup('<text x="100%" dx="-8" y="{}">{}</text>').format(y, text)
        for y, text in ((10, "100 %"), (25, "labels known"), (_COVERAGE, "0 %"))
    ]
    return plot(labels, [whole, *bars], _COVERAGE, "Share of rows with a label, by batch")


def dates(health: Health) -> Markup:
    """Write the dates below a plot."""
    across = Across(health.batches)
    texts = [
        Markup('<text x="{}" y="14" text-anchor="middle">{}</text>').format(
            across.middle(place), f"{health.batches[place].start:%d %b}".lstrip("0")
        )
        for place in across.labelled()
    ]
    return plot([], texts, _DATES, "Begin of the batch")


def plot(labels: Sequence[Markup], inside: Sequence[Markup], height: int, said: str) -> Markup:
    """Put the names of what is plotted to the left of the plot; `said` is for who cannot see it."""
    return Markup(
        '<div class="plot"><svg class="names" height="{0}" aria-hidden="true">{1}</svg>'
        '<svg class="area" height="{0}" role="img" aria-label="{2}">{3}</svg></div>'
    ).format(height, Markup("").join(labels), said, Markup("").join(inside))


def _scale(batches: Sequence[Batch]) -> Down | None:
    values: list[float] = []
    for one in (batch.measured for batch in batches):
        if one is not None and one.loss is not None:
            values += [x for x in (one.loss, one.lower, one.upper, one.mean, one.alarm) if x is not None]
    return down(values, _QUALITY) if values else None


def _grid(scale: Down) -> Markup:
    lines = [
        Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(scale.at(one))
        for one in scale.ticks()
    ]
    return Markup("").join(lines)


def _takeovers(reigns: Sequence[Reign], across: Across, height: int) -> Iterator[Markup]:
    for reign in reigns:
        place = across.at(reign.begin)
        x = across.left(place)
        yield Markup('<line class="takeover" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(x, height)
        # Right of the line, but at the plot's end, where it would be cut off.
        side = ("end", -3) if place > across.slots - 2 else ("start", 3)
        yield Markup('<text x="{}" text-anchor="{}" dx="{}" y="11">v{}</text>').format(
            x, *side, reign.version
        )


def _reference(batches: Sequence[Batch], across: Across, scale: Down) -> Iterator[Markup]:
    for place, one in enumerate(batch.measured for batch in batches):
        if one is None or one.mean is None:
            continue
        edges = {"x1": across.left(place), "x2": across.left(place + 1)}
        if one.alarm is not None:
            top = scale.at(one.alarm)
            yield Markup('<rect class="band" x="{x1}" width="{w}" y="{y}" height="{h:.1f}"/>').format(
                **edges, w=across.span(1), y=top, h=scale.at(one.mean) - top
            )
            yield Markup('<line class="alarm" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>').format(**edges, y=top)
        yield Markup('<line class="mean" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>').format(
            **edges, y=scale.at(one.mean)
        )


def _trend(batches: Sequence[Batch], across: Across, scale: Down) -> Iterator[Markup]:
    losses = [batch.measured.loss if batch.measured else None for batch in batches]
    for place, (one, after) in enumerate(zip(losses, losses[1:], strict=False)):
        if one is not None and after is not None:
            yield Markup('<line class="trend" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                across.middle(place), across.middle(place + 1), scale.at(one), scale.at(after)
            )


def _point(one: Measured | None, x: str, scale: Down) -> Iterator[Markup]:
    if one is None:
        return
    if one.loss is None:
        yield mark("abstained", x, _QUALITY - 10)
        return
    if one.lower is not None and one.upper is not None:
        yield Markup('<line class="bounds" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
            x, scale.at(one.upper), scale.at(one.lower)
        )
    y = scale.at(one.loss)
    if one.concept_drift:
        yield mark("concept", x, y)
    elif one.abstained:
        yield mark("abstained", x, y)
    else:
        yield Markup('<circle class="loss" cx="{}" cy="{}" r="3.5"/>').format(x, y)


def _unmeasured(batches: Sequence[Batch], across: Across) -> Iterator[Markup]:
    leading = next((place for place, one in enumerate(batches) if one.measured), 0)
    if leading / across.slots > 2 * NARROW:
        yield Markup('<text class="quiet" x="{}" y="{}" text-anchor="middle">not measured</text>').format(
            across.left(leading / 2), _QUALITY // 2
        )


def _hover(place: int, text: str, across: Across, height: int) -> Markup:
    return Markup('<rect class="hover" x="{}" width="{}" height="{}"><title>{}</title></rect>').format(
        across.left(place), across.span(1), height, text
    )


def _told(batch: Batch) -> str:
    one = batch.measured
    if one is None:
        return f"{batch.batch}: not measured"
    if one.loss is None:
        return f"{batch.batch}, version {one.champion}: abstained, {one.abstained}"
    bounds = (
        f" ({one.lower:.4f} to {one.upper:.4f})" if one.lower is not None and one.upper is not None else ""
    )
    sigmas = f", {one.sigmas:+.1f} sd from fresh models" if one.sigmas is not None else f", {one.abstained}"
    return f"{batch.batch}, version {one.champion}: {one.loss:.4f}{bounds}{sigmas}"


def _counted(health: Health) -> str:
    seen = [one.measured for one in health.batches if one.measured is not None]
    drifted, abstained = sum(one.concept_drift for one in seen), sum(bool(one.abstained) for one in seen)
    return f"{len(seen)} batches measured, {drifted} with concept drift, {abstained} abstained"
