"""What was live, and what happened when, each kind in a lane of its own."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from trimtab.views.page.plots import NARROW, mark, plot
from trimtab.views.page.scale import Across
from trimtab.views.page.view import Health, Reign

_LANE = 22


def lanes(health: Health) -> Markup:
    """Draw what was live, and below it what happened, each kind in a lane of its own."""
    across = Across(health.batches)
    rows: list[tuple[str, list[Markup]]] = [("in Production", list(_live(health.reigns, across)))]
    measured = [(place, one.measured) for place, one in enumerate(health.batches) if one.measured is not None]
    rows += [
        ("promotion", _moves(health.reigns, across, ("promoted", "forced", "adopted"), "promoted")),
        ("rollback", _moves(health.reigns, across, ("rolled back", "restored"), "back")),
        ("retraining", _retrainings(health, across)),
        ("concept drift", [_at("concept", place, across) for place, one in measured if one.concept_drift]),
        ("abstained", [_at("abstained", place, across) for place, one in measured if one.abstained]),
        ("data drift", [_at("data", place, across) for place, one in measured if one.data_drift]),
    ]
    inside, labels = [], []
    for number, (name, marks) in enumerate(rows):
        labels.append(Markup('<text x="100%" dx="-8" y="{}">{}</text>').format(number * _LANE + 15, name))
        inside.append(
            Markup('<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(
                (number + 1) * _LANE - 0.5
            )
        )
        inside.append(
            Markup('<svg y="{}" width="100%" height="{}" class="mark">{}</svg>').format(
                number * _LANE, _LANE, Markup("").join(marks)
            )
        )
    said = "What was in Production, and what happened when"
    return plot(labels, inside, _LANE * len(rows), said)


def _live(reigns: Sequence[Reign], across: Across) -> Iterator[Markup]:
    for number, reign in enumerate(reigns):
        begin = across.at(reign.begin)
        end = across.at(reign.end) if reign.end else float(len(across.batches))
        wide = end - begin
        if wide <= 0 and reign.end is not None:
            continue
        title = f"version {reign.version}, {reign.moved}, from {reign.begin:%Y-%m-%d}"
        yield Markup(
            '<rect class="live{}" x="{}" width="{}" y="3" height="{}"><title>{}</title></rect>'
        ).format(number % 2, across.left(begin), across.span(max(wide, 0.2)), _LANE - 6, title)
        if wide / across.slots >= NARROW:
            yield Markup('<text class="on" x="{}" y="15" text-anchor="middle">v{}</text>').format(
                across.left(begin + wide / 2), reign.version
            )


def _moves(reigns: Sequence[Reign], across: Across, kinds: Sequence[str], kind: str) -> list[Markup]:
    found = []
    for reign in reigns:
        if reign.moved in kinds:
            title = f"version {reign.version} {reign.moved} on {reign.begin:%Y-%m-%d}: {reign.reason}"
            found.append(_titled(mark(kind, across.left(across.at(reign.begin)), _LANE / 2), title))
    return found


def _retrainings(health: Health, across: Across) -> list[Markup]:
    found = []
    for one in health.answers:
        if one.action == "RETRAIN":
            title = f"{one.event_time:%Y-%m-%d}: {one.reason}"
            found.append(
                _titled(mark("retraining", across.left(across.at(one.event_time)), _LANE / 2), title)
            )
    return found


def _titled(drawn: Markup, title: str) -> Markup:
    return Markup("<g>{}<title>{}</title></g>").format(drawn, title)


def _at(kind: str, place: int, across: Across) -> Markup:
    return _titled(mark(kind, across.middle(place), _LANE / 2), across.batches[place].batch)
