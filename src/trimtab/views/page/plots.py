"""The plots of the page as inline SVG; the style sheet sets the colours.

They are written by hand because a plot here is a few rectangles and marks: a year takes 10 ms, while importing matplotlib
alone takes a second. Without a view box, text and marks keep their size at any width.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from math import ceil

from markupsafe import Markup

from trimtab.contracts import Score
from trimtab.views.page.scale import Across, Down, down
from trimtab.views.page.view import Health, MeasuredBatch, Tenure

_QUALITY, _REGRET, _COVERAGE, _DATES = 230, 90, 40, 22
NARROW = 0.045
"""A part of the plot narrower than this share of its width has no room for a word."""
_MARKS = {
    "data": "M-4,-4 H4 V4 H-4 Z",
    "hard": "M0,-5 L5.5,4.5 L-5.5,4.5 Z",
    "stale": "M-4.5,-5 H4.5 L-4.5,5 H4.5 Z",
    "unmeasured": "M-4.5,-4.5 H4.5 V4.5 H-4.5 Z",
    "skipped": "M-4.5,0 A4.5,4.5 0 1 0 4.5,0 A4.5,4.5 0 1 0 -4.5,0 Z",
    "failed": "M-5,-5 L5,5 M-5,5 L5,-5",
    "deployed": "M0,-6 L6,0 L0,6 L-6,0 Z",
    "back": "M0,6 L5.5,-4.5 L-5.5,-4.5 Z",
}
"""Each kind has its own shape, so that no information is in the colour alone."""
_KEYS = {
    "loss": Markup(
        '<svg><line class="bounds" x1="50%" x2="50%" y2="100%"/><circle class="loss" cx="50%" cy="50%" r="3.5"/></svg>'
    ),
    "fresh": Markup('<svg><line class="fresh" x2="100%" y1="50%" y2="50%"/></svg>'),
    "limit": Markup('<svg><line class="limit" x2="100%" y1="50%" y2="50%"/></svg>'),
}
_GRID = Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>')
_TREND = Markup('<line class="trend" x1="{}" x2="{}" y1="{}" y2="{}"/>')
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
    """Draw the champion's loss on each batch with its bounds, and that of the fresh model."""
    across, scale = Across(health.batches), _scale(health.batches)
    if scale is None:
        return Markup('<p class="empty">No batch was measured yet.</p>')
    batches = health.batches
    drawn = [
        *(_GRID.format(scale.at(tick)) for tick in scale.ticks()),
        *_takeovers(health.tenures, across, _QUALITY),
        *_trend([batch.quality.score if batch.quality else None for batch in batches], across, scale),
        *chain.from_iterable(_point(batch, place, across, scale) for place, batch in enumerate(batches)),
        *_unmeasured(batches, across),
        *(_hover(place, _description(batch), across, _QUALITY) for place, batch in enumerate(batches)),
    ]
    labels = [(scale.at(tick) + 4, f"{tick:g}") for tick in scale.ticks()]
    metric, measured = health.params.gate.metric, sum(batch.quality is not None for batch in batches)
    return plot(
        labels,
        drawn,
        _QUALITY,
        f"{metric} of the champion by batch with 95 % bounds, and of a fresh model; {measured} of {len(batches)} batches "
        "measured",
    )


def regret(health: Health) -> Markup:
    """Draw what the champion has lost more than fresh models since its deployment, after each batch, and the limit."""
    limit = health.params.trigger.regret
    shares = {
        place: (batch.quality.version, batch.quality.regret.share)
        for place, batch in enumerate(health.batches)
        if batch.quality and batch.quality.regret
    }
    if not shares:
        return Markup("")
    across, scale = Across(health.batches), down(
        [0.0, limit, *(share for _, share in shares.values())], _REGRET
    )
    lines = [
        _TREND.format(
            across.percent(place + 0.5),
            across.percent(following + 0.5),
            scale.at(share),
            scale.at(shares[following][1]),
        )
        for (place, (version, share)), following in zip(shares.items(), list(shares)[1:], strict=False)
        if version == shares[following][0]
    ]
    points = [
        Markup('<circle class="loss" cx="{}" cy="{}" r="2.5"/>').format(
            across.percent(place + 0.5), scale.at(share)
        )
        for place, (_, share) in shares.items()
    ]
    text = "{}, version {}: regret {:+.1%} of a batch's loss, the limit is {:.1%}"
    hovers = [
        _hover(
            place, text.format(health.batches[place].manifest.batch, version, share, limit), across, _REGRET
        )
        for place, (version, share) in shares.items()
    ]
    drawn = [
        *_takeovers(health.tenures, across, _REGRET, named=False),
        _GRID.format(scale.at(0)),
        Markup('<line class="limit" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(scale.at(limit)),
        *lines,
        *points,
        *hovers,
    ]
    labels = [(scale.at(limit) + 4, f"limit {100 * limit:g} %"), (scale.at(0) + 4, "regret 0 %")]
    over = sum(share >= limit for _, share in shares.values())
    return plot(
        labels, drawn, _REGRET, f"Regret by batch; at its limit or above on {over} of {len(shares)} batches"
    )


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
    qualities = [batch.quality for batch in batches if batch.quality]
    losses = [score.loss for each in qualities for score in (each.score, each.fresh) if score]
    bounds = [bound for each in qualities for bound in each.bounds or ()]
    return down([*losses, *bounds], _QUALITY) if losses else None


def _takeovers(
    tenures: Sequence[Tenure], across: Across, height: int, *, named: bool = True
) -> Iterator[Markup]:
    before, y = -float(across.slots), 11
    for tenure in tenures:
        place = across.at(tenure.begin)
        x = across.percent(place)
        y = 11 if y == 23 or place - before > NARROW * across.slots else 23  # next to another one
        before = place
        yield Markup('<line class="takeover" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(x, height)
        if not named:
            continue
        # To the right of the line, except at the end of the plot, where it would be cut off.
        side = ("end", -3) if place > across.slots - 2 else ("start", 3)
        yield Markup('<text x="{}" text-anchor="{}" dx="{}" y="{}">v{}</text>').format(
            x, *side, y, tenure.version
        )


def _trend(scores: Sequence[Score | None], across: Across, scale: Down) -> list[Markup]:
    return [
        _TREND.format(
            across.percent(place + 0.5),
            across.percent(place + 1.5),
            scale.at(score.loss),
            scale.at(following.loss),
        )
        for place, (score, following) in enumerate(pairwise(scores))
        if score is not None and following is not None
    ]


def _point(batch: MeasuredBatch, place: int, across: Across, scale: Down) -> Iterator[Markup]:
    quality, x = batch.quality, across.percent(place + 0.5)
    if quality is None:
        return
    if quality.fresh is not None:
        yield Markup('<line class="fresh" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
            across.percent(place + 0.15), across.percent(place + 0.85), y=scale.at(quality.fresh.loss)
        )
    if quality.bounds is not None:
        low, high = quality.bounds
        yield Markup('<line class="bounds" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
            x, scale.at(high), scale.at(low)
        )
    if quality.score is not None:
        yield Markup('<circle class="loss" cx="{}" cy="{}" r="3.5"/>').format(x, scale.at(quality.score.loss))


def _unmeasured(batches: Sequence[MeasuredBatch], across: Across) -> Iterator[Markup]:
    first = next((place for place, batch in enumerate(batches) if batch.quality), 0)
    if first / across.slots > 2 * NARROW:
        yield Markup('<text class="quiet" x="{}" y="{}" text-anchor="middle">not measured</text>').format(
            across.percent(first / 2), _QUALITY // 2
        )
    for place, batch in enumerate(batches):
        if place > first and batch.quality is None:
            yield mark("unmeasured", across.percent(place + 0.5), _QUALITY - 10)


def _hover(place: int, text: str, across: Across, height: int) -> Markup:
    return Markup('<rect class="hover" x="{}" width="{}" height="{}"><title>{}</title></rect>').format(
        across.percent(place), across.percent(1), height, text
    )


def _description(batch: MeasuredBatch) -> str:
    name, quality = batch.manifest.batch, batch.quality
    if quality is None:
        return f"{name}: {batch.unmeasured}"
    fresh = f"a fresh model of {quality.measurement.leader} {quality.fresh.loss:.4f}" if quality.fresh else ""
    champion = ""
    if quality.score is not None:
        bounds = " ({:.4f} to {:.4f})".format(*quality.bounds) if quality.bounds else ""
        champion = f"version {quality.version} {quality.score.loss:.4f}{bounds}"
    failed = (f"{model} has no score: {reason}" for model, reason in quality.failed.items())
    return f"{name}: {', '.join(filter(None, (champion, fresh, *failed))) or 'there was no model to score'}"
