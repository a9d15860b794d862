"""Which version was live, and what happened when, each kind of event in a lane of its own."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from trimtab.ledger.state import action_of
from trimtab.views.page.plots import NARROW, mark, plot
from trimtab.views.page.scale import Across
from trimtab.views.page.view import Health, Tenure

_LANE = 22


def lanes(health: Health) -> Markup:
    """Draw which version was live, and below it a lane for each kind of event."""
    across = Across(health.batches)
    measured = [(place, batch.measurement) for place, batch in enumerate(health.batches) if batch.measurement]
    concept = [place for place, each in measured if each.assessment.concept_drift]
    abstained = [place for place, each in measured if each.concept.abstained]
    data = [place for place, each in measured if each.assessment.data_drift]
    rows: dict[str, Iterator[Markup]] = {
        "in Production": _live(health.tenures, across),
        "promotion": _moves(health.tenures, across, ("promoted", "forced", "adopted"), "promoted"),
        "rollback": _moves(health.tenures, across, ("rolled back", "restored"), "back"),
        "retraining": _retrainings(health, across),
        "concept drift": _at("concept", concept, across),
        "abstained": _at("abstained", abstained, across),
        "data drift": _at("data", data, across),
    }
    labels = [(number * _LANE + 15, name) for number, name in enumerate(rows)]
    drawn = [_lane(number, marks) for number, marks in enumerate(rows.values())]
    return plot(labels, drawn, _LANE * len(rows), "Which version was in Production, and what happened when")


def _lane(number: int, marks: Iterator[Markup]) -> Markup:
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
        title = f"version {tenure.version}, {tenure.how}, from {tenure.begin:%Y-%m-%d}"
        yield Markup(
            '<rect class="live{}" x="{}" width="{}" y="3" height="{}"><title>{}</title></rect>'
        ).format(number % 2, across.percent(begin), across.percent(max(width, 0.2)), _LANE - 6, title)
        if width / across.slots >= NARROW:
            yield Markup('<text class="on" x="{}" y="15" text-anchor="middle">v{}</text>').format(
                across.percent(begin + width / 2), tenure.version
            )


def _moves(tenures: Sequence[Tenure], across: Across, hows: Sequence[str], kind: str) -> Iterator[Markup]:
    for tenure in tenures:
        if tenure.how in hows:
            reason = tenure.transition.reason
            title = f"version {tenure.version} {tenure.how} on {tenure.begin:%Y-%m-%d}: {reason}"
            yield _mark(kind, across.percent(across.at(tenure.begin)), title)


def _retrainings(health: Health, across: Across) -> Iterator[Markup]:
    for decision in (answer.decision for answer in health.answers):
        if action_of(decision) == "RETRAIN":
            title = f"{decision.event_time:%Y-%m-%d}: {decision.reason}"
            yield _mark("retraining", across.percent(across.at(decision.event_time)), title)


def _at(kind: str, places: Sequence[int], across: Across) -> Iterator[Markup]:
    for place in places:
        yield _mark(kind, across.percent(place + 0.5), across.batches[place].manifest.batch)


def _mark(kind: str, x: str, title: str) -> Markup:
    return Markup("<g>{}<title>{}</title></g>").format(mark(kind, x, _LANE / 2), title)
