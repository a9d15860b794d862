"""The plots of the page as inline SVG; the style sheet sets the colours.

They are written by hand because a plot here is a few rectangles and marks: a year takes 10 ms, while importing matplotlib
alone takes a second. Without a view box, text and marks keep their size at any width.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from math import ceil

from markupsafe import Markup

from trimtab.views.page.scale import Across, Down, down
from trimtab.views.page.view import Health, MeasuredBatch, Measurement, Tenure

_QUALITY, _COVERAGE, _DATES = 230, 40, 22
NARROW = 0.045
"""A part of the plot narrower than this share of its width has no room for a word."""
_MARKS = {
    "concept": "M0,-6 L5.5,4.5 L-5.5,4.5 Z",
    "data": "M-4,-4 H4 V4 H-4 Z",
    "abstained": "M-4.5,-4.5 H4.5 V4.5 H-4.5 Z",
    "retraining": "M-4.5,0 A4.5,4.5 0 1 0 4.5,0 A4.5,4.5 0 1 0 -4.5,0 Z",
    "promoted": "M0,-6 L6,0 L0,6 L-6,0 Z",
    "back": "M0,6 L5.5,-4.5 L-5.5,-4.5 Z",
}
"""Each kind has its own shape, so that no information is in the colour alone."""
_KEYS = {
    "band": Markup(
        '<svg><rect class="band" width="100%" height="100%"/><line class="alarm" x2="100%"/></svg>'
    ),
    "loss": Markup(
        '<svg><line class="bounds" x1="50%" x2="50%" y2="100%"/><circle class="loss" cx="50%" cy="50%" r="3.5"/></svg>'
    ),
}
_MAX_DATES = 13
"""So many dates fit side by side on 700 pixels."""


def key(kind: str) -> Markup:
    """Draw the mark of a kind for a legend."""
    return _KEYS.get(kind) or Markup("<svg>{}</svg>").format(mark(kind, "50%", 7))


def mark(kind: str, x: str, y: float) -> Markup:
    """Draw one mark."""
    return Markup('<svg x="{}" y="{}" class="mark"><path class="{}" d="{}"/></svg>').format(
        x, y, kind, _MARKS[kind]
    )


def quality(health: Health) -> Markup:
    """Draw the loss of each batch with its bounds, the mean loss of fresh models, and the alarm above it."""
    across, scale = Across(health.batches), _scale(health.batches)
    if scale is None:
        return Markup('<p class="empty">No batch was measured yet.</p>')
    batches, grid = health.batches, Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>')
    drawn = [
        *(grid.format(scale.at(tick)) for tick in scale.ticks()),
        *_takeovers(health.tenures, across, _QUALITY),
        *_reference(batches, across, scale),
        *_trend(batches, across, scale),
        *chain.from_iterable(
            _point(batch.measurement, across.percent(place + 0.5), scale)
            for place, batch in enumerate(batches)
        ),
        *_unmeasured(batches, across),
        *(_hover(place, _description(batch), across, _QUALITY) for place, batch in enumerate(batches)),
    ]
    labels = [(scale.at(tick) + 4, f"{tick:g}") for tick in scale.ticks()]
    metric = health.params.gate.metric
    return plot(labels, drawn, _QUALITY, f"{metric} by batch with 95 % bounds; {_summary(health)}")


def coverage(health: Health) -> Markup:
    """Draw the share of rows with a known label, batch by batch."""
    across = Across(health.batches)
    drawn = [Markup('<line class="grid" x1="0" x2="100%" y1="4" y2="4"/>')]
    for place, manifest in enumerate(batch.manifest for batch in health.batches):
        height = round(manifest.coverage * (_COVERAGE - 4), 1)
        text = f"{manifest.batch}: {manifest.labelled} of {manifest.rows} rows have a label"
        drawn += [
            Markup('<rect class="known" x="{}" width="{}" y="{}" height="{}"/>').format(
                across.percent(place + 0.12), across.percent(0.76), _COVERAGE - height, height
            ),
            _hover(place, text, across, _COVERAGE),
        ]
    labels = [(10, "100 %"), (25, "labels known"), (_COVERAGE, "0 %")]
    return plot(labels, drawn, _COVERAGE, "Share of rows with a label, by batch")


def dates(health: Health) -> Markup:
    """Write the dates below a plot."""
    across, step = Across(health.batches), max(1, ceil(len(health.batches) / _MAX_DATES))
    texts = [
        Markup('<text x="{}" y="14" text-anchor="middle">{}</text>').format(
            across.percent(place + 0.5), f"{health.batches[place].manifest.start:%d %b}".lstrip("0")
        )
        for place in range(0, len(health.batches), step)
    ]
    return plot([], texts, _DATES, "Start of the batch")


def plot(
    labels: Iterable[tuple[float, str]], drawn: Iterable[Markup], height: int, description: str
) -> Markup:
    """Put the labels, at their heights, to the left of the plot; the description is for readers who cannot see it."""
    names = [Markup('<text x="100%" dx="-8" y="{}">{}</text>').format(y, text) for y, text in labels]
    return Markup(
        '<div class="plot"><svg class="names" height="{0}" aria-hidden="true">{1}</svg>'
        '<svg class="area" height="{0}" role="img" aria-label="{2}">{3}</svg></div>'
    ).format(height, Markup("").join(names), description, Markup("").join(drawn))


def _scale(batches: Sequence[MeasuredBatch]) -> Down | None:
    values = [
        value
        for each in (batch.measurement for batch in batches)
        if each is not None and each.loss is not None
        for value in (
            each.loss,
            each.concept.lower,
            each.concept.upper,
            each.concept.reference_mean,
            each.alarm,
        )
        if value is not None
    ]
    return down(values, _QUALITY) if values else None


def _takeovers(tenures: Sequence[Tenure], across: Across, height: int) -> Iterator[Markup]:
    for tenure in tenures:
        place = across.at(tenure.begin)
        x = across.percent(place)
        yield Markup('<line class="takeover" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(x, height)
        # To the right of the line, except at the end of the plot, where it would be cut off.
        side = ("end", -3) if place > across.slots - 2 else ("start", 3)
        yield Markup('<text x="{}" text-anchor="{}" dx="{}" y="11">v{}</text>').format(
            x, *side, tenure.version
        )


def _reference(batches: Sequence[MeasuredBatch], across: Across, scale: Down) -> Iterator[Markup]:
    for place, measurement in enumerate(batch.measurement for batch in batches):
        if measurement is None or (mean := measurement.concept.reference_mean) is None:
            continue
        edges = {"x1": across.percent(place), "x2": across.percent(place + 1)}
        if measurement.alarm is not None:
            top = scale.at(measurement.alarm)
            yield Markup('<rect class="band" x="{x1}" width="{w}" y="{y}" height="{h:.1f}"/>').format(
                **edges, w=across.percent(1), y=top, h=scale.at(mean) - top
            )
            yield Markup('<line class="alarm" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>').format(**edges, y=top)
        yield Markup('<line class="mean" x1="{x1}" x2="{x2}" y1="{y}" y2="{y}"/>').format(
            **edges, y=scale.at(mean)
        )


def _trend(batches: Sequence[MeasuredBatch], across: Across, scale: Down) -> list[Markup]:
    losses = [batch.measurement.loss if batch.measurement else None for batch in batches]
    line = Markup('<line class="trend" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    return [
        line.format(
            across.percent(place + 0.5), across.percent(place + 1.5), scale.at(loss), scale.at(following)
        )
        for place, (loss, following) in enumerate(pairwise(losses))
        if loss is not None and following is not None
    ]


def _point(measurement: Measurement | None, x: str, scale: Down) -> Iterator[Markup]:
    if measurement is None:
        return
    if measurement.loss is None:
        yield mark("abstained", x, _QUALITY - 10)
        return
    concept, y = measurement.concept, scale.at(measurement.loss)
    if concept.lower is not None and concept.upper is not None:
        yield Markup('<line class="bounds" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
            x, scale.at(concept.upper), scale.at(concept.lower)
        )
    if measurement.assessment.concept_drift or concept.abstained:
        yield mark("concept" if measurement.assessment.concept_drift else "abstained", x, y)
    else:
        yield Markup('<circle class="loss" cx="{}" cy="{}" r="3.5"/>').format(x, y)


def _unmeasured(batches: Sequence[MeasuredBatch], across: Across) -> Iterator[Markup]:
    leading = next((place for place, batch in enumerate(batches) if batch.measurement), 0)
    if leading / across.slots > 2 * NARROW:
        yield Markup('<text class="quiet" x="{}" y="{}" text-anchor="middle">not measured</text>').format(
            across.percent(leading / 2), _QUALITY // 2
        )


def _hover(place: int, text: str, across: Across, height: int) -> Markup:
    return Markup('<rect class="hover" x="{}" width="{}" height="{}"><title>{}</title></rect>').format(
        across.percent(place), across.percent(1), height, text
    )


def _description(batch: MeasuredBatch) -> str:
    name, measurement = batch.manifest.batch, batch.measurement
    if measurement is None:
        return f"{name}: not measured"
    concept, version = measurement.concept, measurement.observation.champion
    if measurement.loss is None:
        return f"{name}, version {version}: abstained, {concept.abstained}"
    bounds = ""
    if concept.lower is not None and concept.upper is not None:
        bounds = f" ({concept.lower:.4f} to {concept.upper:.4f})"
    against = concept.abstained if concept.sigmas is None else f"{concept.sigmas:+.1f} sd from fresh models"
    return f"{name}, version {version}: {measurement.loss:.4f}{bounds}, {against}"


def _summary(health: Health) -> str:
    measured = [batch.measurement for batch in health.batches if batch.measurement is not None]
    drifted = sum(measurement.assessment.concept_drift for measurement in measured)
    abstained = sum(bool(measurement.concept.abstained) for measurement in measured)
    return f"{len(measured)} batches measured, {drifted} with concept drift, {abstained} abstained"
