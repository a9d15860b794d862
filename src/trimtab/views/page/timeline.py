"""Which version was live, and what happened when, each kind of event in a lane of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from markupsafe import Markup

from trimtab.ledger.state import action_of
from trimtab.views.page.plots import NARROW, mark, plot
from trimtab.views.page.scale import Across
from trimtab.views.page.view import Health, Measurement, Tenure

_LANE = 22


def lanes(health: Health) -> Markup:
    """Draw which version was live, and below it a lane for each kind of event."""
    across = Across(health.batches)
    rows: dict[str, Iterable[Markup]] = {
        "in Production": _live(health.tenures, across),
        "promotion": _moves(health.tenures, across, ("promoted", "forced", "adopted"), "promoted"),
        "rollback": _moves(health.tenures, across, ("rolled back", "restored"), "back"),
        "retraining": _retrainings(health, across),
        "concept drift": _measured("concept", health, across, lambda each: each.assessment.concept_drift),
        "abstained": _measured("abstained", health, across, lambda each: each.concept.abstained),
        "data drift": _measured("data", health, across, lambda each: each.assessment.data_drift),
    }
    return plot(
        [(number * _LANE + 15, name) for number, name in enumerate(rows)],
        [_lane(number, marks) for number, marks in enumerate(rows.values())],
        _LANE * len(rows),
        "Which version was in Production, and what happened when",
    )


def _lane(number: int, marks: Iterable[Markup]) -> Markup:
    return Markup(
        '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
        '<svg y="{1}" width="100%" height="{2}" class="mark">{3}</svg>'
    ).format((number + 1) * _LANE - 0.5, number * _LANE, _LANE, Markup("").join(marks))


def _live(tenures: Sequence[Tenure], across: Across) -> Iterator[Markup]:
    for number, tenure in enumerate(tenures):
        begin = across.at(tenure.begin)
        width = (across.at(tenure.end) if tenure.end else len(across.batches)) - begin
        if width <= 0 and tenure.end is not None:
            continue
        yield Markup(
            '<rect class="live{}" x="{}" width="{}" y="3" height="{}"><title>{}</title></rect>'
        ).format(
            number % 2,
            across.percent(begin),
            across.percent(max(width, 0.2)),
            _LANE - 6,
            f"version {tenure.version}, {tenure.how}, from {tenure.begin:%Y-%m-%d}",
        )
        if width / across.slots >= NARROW:
            yield Markup('<text class="on" x="{}" y="15" text-anchor="middle">v{}</text>').format(
                across.percent(begin + width / 2), tenure.version
            )


def _moves(tenures: Sequence[Tenure], across: Across, hows: Sequence[str], kind: str) -> list[Markup]:
    return [
        _mark(
            kind,
            across.percent(across.at(tenure.begin)),
            f"version {tenure.version} {tenure.how} on {tenure.begin:%Y-%m-%d}: {tenure.transition.reason}",
        )
        for tenure in tenures
        if tenure.how in hows
    ]


def _retrainings(health: Health, across: Across) -> list[Markup]:
    return [
        _mark(
            "retraining",
            across.percent(across.at(decision.event_time)),
            f"{decision.event_time:%Y-%m-%d}: {decision.reason}",
        )
        for decision in (answer.decision for answer in health.answers)
        if action_of(decision) == "RETRAIN"
    ]


def _measured(
    kind: str, health: Health, across: Across, applies: Callable[[Measurement], object]
) -> list[Markup]:
    return [
        _mark(kind, across.percent(place + 0.5), batch.manifest.batch)
        for place, batch in enumerate(health.batches)
        if batch.measurement and applies(batch.measurement)
    ]


def _mark(kind: str, x: str, title: str) -> Markup:
    return Markup("<g>{}<title>{}</title></g>").format(mark(kind, x, _LANE / 2), title)
