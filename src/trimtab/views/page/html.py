"""The page as HTML, complete and without outside assets. The template escapes whatever comes from the ledger."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trimtab.ledger.state import action_of
from trimtab.views.history import names
from trimtab.views.page import heat_map, plots
from trimtab.views.page.timeline import lanes
from trimtab.views.page.view import Answered, Health

CHOICES = (13, 26, 53, 106)
"""Numbers of batches that the page offers to show."""
_NEWEST = 6
"""So many decisions are visible at once; all of them are one click away."""


def page(health: Health, *, nonce: str, mlflow: str | None, models: Sequence[str] = ()) -> str:
    """Return the page.

    Args:
        health: What it shows.
        nonce: The nonce of the policy in the response's header, which lets only this page's own style and script run.
        mlflow: MLflow's address for a browser, for links to runs; None when a browser cannot reach it.
        models: The models that the reader may see, if one Airflow has many: links and buttons name the model then.
    """
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=f"{health.params.model.name}: model health",
            style=_asset("page.css"),
            script=_asset("page.js"),
            nonce=nonce,
            mlflow=mlflow,
            models=models,
            health=health,
            model=health.params.model.name,
            suffix=f".{health.params.model.name}" if models else "",
            metric=health.params.gate.metric.replace("_", " "),
            headline=_headline(health),
            next_step=_next_step(len(health.batches), health.params.train.start_batches),
            choices=sorted({*CHOICES, health.last}),
            newest=_NEWEST,
            quality=plots.quality(health),
            coverage=plots.coverage(health),
            lanes=lanes(health),
            heat=heat_map.heat(health),
            dates=plots.dates(health),
            features=heat_map.features(health.batches),
            levels=heat_map.LEGEND,
            mark=plots.key,
            columns_of=heat_map.columns_of,
            action=action_of,
            count=_count,
            number=_number,
            percent=_percent,
            reason=_reason,
            span=names,
        )
    )


def failure(title: str, sentence: str, remedy: str, *, nonce: str) -> str:
    """Return the page of an error: what happened, and what to do now."""
    return (
        _environment()
        .get_template("failure.html")
        .render(title=title, sentence=sentence, remedy=remedy, nonce=nonce, style=_asset("page.css"))
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


@cache
def _asset(name: str) -> Markup:
    return Markup((files("trimtab.views.page") / name).read_text(encoding="utf-8"))


def _headline(health: Health) -> str:
    if not health.batches:
        return "No batch has come in yet."
    if health.champion is None or not health.tenures:
        return (
            f"{_count(len(health.batches), 'batch', 'batches')} came in, and no version is in Production yet."
        )
    tenure = health.tenures[-1]
    return f"Version {tenure.version} has been in Production since {tenure.begin:%Y-%m-%d}. {_newest(health)}"


def _newest(health: Health) -> str:
    batch, measurement = health.batches[-1].manifest.batch, health.batches[-1].measurement
    if measurement is None:
        return f"The newest batch, {batch}, is not measured yet."
    if measurement.concept.abstained is not None:
        return f"Newest batch {batch}: abstained from concept drift, {measurement.concept.abstained}."
    drifted = "concept drift" if measurement.assessment.concept_drift else "no concept drift"
    return f"Newest batch {batch}: {drifted}, {measurement.concept.sigmas:+.1f} sd from the loss of fresh models."


def _next_step(batches: int, needed: int) -> str:
    if batches >= needed:
        return "Enough batches came in: press Retrain."
    return (
        f"{batches} of the {needed} batches of train.start_batches came in: land more, as data/README.md says, then "
        f"press Retrain."
    )


def _reason(answer: Answered) -> str:
    request, reason = answer.request, answer.decision.reason.removeprefix(f"{answer.request.source}: ")
    return reason if request.reason in reason else f"{request.reason} → {reason}"


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"
