"""Which version was live, and what happened when, each kind of event in a lane of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from markupsafe import Markup

from trimtab.ledger.state import action_of
from trimtab.views.page.plots import NARROW, mark, plot
from trimtab.views.page.scale import Across
from trimtab.views.page.view import Decided, Health, Tenure

_LANE = 22


def lanes(health: Health) -> Markup:
    """Draw which version was live, and below it a lane for each kind of event."""
    across = Across(health.batches)
    rows: dict[str, Iterable[Markup]] = {
        "in Production": _live(health.tenures, across),
        "leader": _leaders(health, across),
        "deployment": _moves(health.tenures, across, ("deployed", "forced", "adopted"), "deployed"),
        "rollback": _moves(health.tenures, across, ("rolled back", "restored"), "back"),
        "skipped": _decided("skipped", health, across, lambda each: action_of(each.decision) == "SKIP"),
        "failed run": _decided("failed", health, across, lambda each: each.failed),
        "data drift": [
            _mark(
                "data",
                across.percent(place + 0.5),
                f"{batch.manifest.batch}: {batch.observation.data.share:.0%}",
            )
            for place, batch in enumerate(health.batches)
            if batch.observation and batch.observation.data.share > health.params.drift.data.max_share
        ],
        "hard batch": _alarms("hard batch", "hard", health, across),
        "stale model": _alarms("stale model", "stale", health, across),
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
        end = across.at(tenure.end) if tenure.end else max(len(across.batches), begin + 0.2)
        title = f"version {tenure.version}, {tenure.how}, from {tenure.begin:%Y-%m-%d}"
        yield from _bar(number, begin, end, f"v{tenure.version}", title, across)


def _leaders(health: Health, across: Across) -> Iterator[Markup]:
    leaders = [
        (place, batch.quality.measurement.leader)
        for place, batch in enumerate(health.batches)
        if batch.quality
    ]
    begins = [item for before, item in pairwise([(0, ""), *leaders]) if before[1] != item[1]]
    ends = [*(place for place, _ in begins[1:]), len(health.batches)]
    for number, ((begin, name), end) in enumerate(zip(begins, ends, strict=False)):
        title = f"{name} leads from {health.batches[begin].manifest.batch}"
        yield from _bar(number, begin, end, name, title, across)


def _bar(number: int, begin: float, end: float, name: str, title: str, across: Across) -> Iterator[Markup]:
    """Draw a bar, with its name if it has room for it."""
    width = end - begin
    if width <= 0:
        return
    yield Markup('<rect class="live{}" x="{}" width="{}" y="3" height="{}"><title>{}</title></rect>').format(
        number % 2, across.percent(begin), across.percent(width), _LANE - 6, title
    )
    if width / across.slots >= NARROW * max(1, len(name) / 4):
        yield Markup('<text class="on" x="{}" y="15" text-anchor="middle">{}</text>').format(
            across.percent(begin + width / 2), name
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


def _decided(kind: str, health: Health, across: Across, applies: Callable[[Decided], object]) -> list[Markup]:
    return [
        _mark(
            kind,
            across.percent(across.at(each.decision.event_time)),
            f"{each.decision.event_time:%Y-%m-%d}: {each.why}",
        )
        for each in health.decisions
        if applies(each)
    ]


def _alarms(name: str, kind: str, health: Health, across: Across) -> list[Markup]:
    return [
        _mark(kind, across.percent(place + 0.5), f"{batch.manifest.batch}: {alarm.sentence}")
        for place, batch in enumerate(health.batches)
        if batch.quality and (alarm := batch.quality.alarms.firing.get(name))
    ]


def _mark(kind: str, x: str, title: str) -> Markup:
    return Markup("<g>{}<title>{}</title></g>").format(mark(kind, x, _LANE / 2), title)
