"""The page as HTML, complete and without outside assets. The template escapes whatever comes from the ledger."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trimtab.contracts import to_json
from trimtab.ledger import Answer, Request
from trimtab.ledger.state import action_of
from trimtab.views.history import names
from trimtab.views.page import heat_map, plots
from trimtab.views.page.timeline import lanes
from trimtab.views.page.view import Health

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
            choices=sorted({*CHOICES, health.last}),
            newest=_NEWEST,
            quality=plots.quality(health),
            regret=plots.regret(health),
            coverage=plots.coverage(health),
            lanes=lanes(health),
            heat=heat_map.heat(health),
            dates=plots.dates(health),
            features=heat_map.features(health.batches),
            levels=heat_map.LEGEND,
            mark=plots.key,
            columns_of=heat_map.columns_of,
            action=action_of,
            span=names,
        )
    )


def evidence(request: Request, answer: Answer, *, nonce: str) -> str:
    """Return the page of the evidence of an answer to a request."""
    title = f"Evidence: {answer.action} of {answer.event_time:%Y-%m-%d}"
    return (
        _environment()
        .get_template("evidence.html")
        .render(
            title=title,
            request=request,
            answer=answer,
            evidence=answer.evidence,
            json=to_json(answer.evidence),
            nonce=nonce,
            style=_asset("page.css"),
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
