"""The page as HTML: complete, with no outside asset. Whatever comes from the ledger is escaped by the template."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from trimtab.views.page import heat_map, plots
from trimtab.views.page.timeline import lanes
from trimtab.views.page.view import Answer, Cell, Health, Judged, Measured

CHOICES = (13, 26, 53, 106)
"""Numbers of newest batches that the page offers to show."""
_NEWEST = 6
"""Decisions that are seen at once; all of them are one click behind."""


def page(health: Health, *, nonce: str, mlflow: str | None, models: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        health: What it shows.
        nonce: Of the policy in the response's header that lets this page's own style and script run, and no other.
        mlflow: Where a browser finds MLflow, for links to runs; None when it cannot.
        models: Those that the reader may look at, where one Airflow has many: links and buttons name the model then.
    """
    every = heat_map.features(health.batches)
    return _template("page.html").render(
        title=f"{health.model}: model health",
        style=_asset("page.css"),
        script=_asset("page.js"),
        nonce=nonce,
        mlflow=mlflow,
        models=models,
        suffix=f".{health.model}" if models else "",
        health=health,
        headline=_headline(health),
        next_step=_next_step(len(health.batches), health.start_batches),
        choices=sorted({*CHOICES, health.last}),
        newest=_NEWEST,
        quality=plots.quality(health),
        coverage=plots.coverage(health),
        lanes=lanes(health),
        heat=heat_map.heat(health),
        dates=plots.dates(health),
        features=bool(every),
        every=every,
        levels=heat_map.LEGEND,
        mark=plots.key,
        by_feature=_by_feature,
        count=_count,
        number=_number,
        percent=_percent,
        reason=_reason,
        sentence=_sentence,
        span=_span,
    )


def failure(title: str, sentence: str, remedy: str, *, nonce: str) -> str:
    """Return the page of something that went wrong: what, and what to do now."""
    return _template("failure.html").render(
        title=title, sentence=sentence, remedy=remedy, nonce=nonce, style=_asset("page.css")
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("trimtab.views.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _asset(name: str) -> Markup:
    return Markup((files("trimtab.views.page") / name).read_text(encoding="utf-8"))


def _headline(health: Health) -> str:
    if not health.batches:
        return "No batch has come in yet."
    if health.champion is None or not health.reigns:
        return (
            f"{_count(len(health.batches), 'batch', 'batches')} came in, and no version is in Production yet."
        )
    reign = health.reigns[-1]
    return f"Version {reign.version} answers since {reign.begin:%Y-%m-%d}. {_newest(health)}"


def _newest(health: Health) -> str:
    batch = health.batches[-1]
    one = batch.measured
    if one is None:
        return f"The newest batch, {batch.batch}, is not measured yet."
    if one.abstained is not None:
        return f"Newest batch {batch.batch}: abstained from concept drift, {one.abstained}."
    drifted = "concept drift" if one.concept_drift else "no concept drift"
    return f"Newest batch {batch.batch}: {drifted}, {one.sigmas:+.1f} sd from what fresh models lose."


def _next_step(have: int, need: int) -> str:
    if have < need:
        return (
            f"{have} of the {need} batches of train.start_batches came in: land more, as data/README.md says, then "
            f"press Retrain."
        )
    return "Enough batches came in: press Retrain."


def _reason(one: Answer) -> str:
    answer = one.reason.removeprefix(f"{one.source}: ")
    return answer if one.asked in answer else f"{one.asked} → {answer}"


def _sentence(one: Judged) -> str:
    return one.reason.removeprefix(f"{one.state}: ")


def _by_feature(one: Measured) -> Mapping[str, Cell]:
    return {cell.feature: cell for cell in one.cells}


def _span(batches: Sequence[str]) -> str:
    if len(batches) <= 2:
        return " and ".join(batches) or "no batch"
    return f"{len(batches)} batches, {batches[0]} to {batches[-1]}"


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"
