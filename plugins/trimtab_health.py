"""The Model health page in Airflow: permissions and HTTP.

Airflow does not check who calls a plugin's app, so each route here checks permissions itself. No route changes anything, so
a forged request can do nothing. The buttons of the page call Airflow's own API.
"""

import secrets
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from trimtab_models import Model, ModelsError, models

PREFIX = "/trimtab"
VIEW = {
    "name": "Model health",
    "href": f"{PREFIX.lstrip('/')}/health",
    "destination": "nav",
    "url_route": "model-health",
}
DAG = "retrain_model"
"""A user who may read this DAG of a model may read the model's page."""
LAST, MOST = 53, 520
"""Number of newest batches that the page shows by default, and at most."""


async def health_app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request. The app is created at the first, because every process of Airflow loads the plugins."""
    await _app()(scope, receive, send)


APP = {"name": "trimtab model health", "url_prefix": PREFIX, "app": health_app}


@cache
def _app() -> Any:
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, Response
    from sqlalchemy.exc import SQLAlchemyError

    from trimtab import redaction, settings
    from trimtab.errors import TrimtabError, Unknown
    from trimtab.views import health
    from trimtab.views.page import html

    redaction.install()
    app = FastAPI(
        title="trimtab model health",
        openapi_url=None,
        exception_handlers={HTTPException: _refused, ModelsError: _unusable, RequestValidationError: _wrong},
    )

    def may_read(model: Model, request: Request, user: Any) -> bool:
        try:
            requires_access_dag("GET", param_dag_id=model.dag_id(DAG))(request, user)
        except HTTPException:
            return False
        return True

    def choose(request: Request, user: GetUserDep, model: str | None = None) -> list[Model]:
        """Return the requested model, or the first that the user may read, followed by all that the user may read."""
        every = models()
        readable = [each for each in every if may_read(each, request, user)]
        chosen = (readable or every)[0]
        if every[0].file and model is not None:
            by_name = {each.name: each for each in every}
            if model not in by_name:
                expected = (
                    ", ".join(each.name for each in readable)
                    or "none: you have no permission to read a model"
                )
                raise HTTPException(404, f"Expected a model of {expected}, got {model[:200]!r}.")
            chosen = by_name[model]
        request.state.dag = chosen.dag_id(DAG)
        requires_access_dag("GET", param_dag_id=request.state.dag)(request, user)
        return [chosen, *readable]

    Chosen = Annotated[list[Model], Depends(choose)]

    @app.get("/health")
    def show_health(chosen: Chosen, last: Annotated[int, Query(ge=1, le=MOST)] = LAST) -> Response:
        try:
            with settings.for_model(chosen[0].settings):
                shown, mlflow = health.health(last), _mlflow()
        except (TrimtabError, SQLAlchemyError, OSError) as error:
            remedy = "The service keeps answering with its current version. Reload the page when the cause is fixed."
            return _unreadable(error, "Model health cannot be read", remedy)
        many, nonce = [model.name for model in chosen[1:] if model.file], secrets.token_urlsafe()
        return HTMLResponse(
            html.page(shown, nonce=nonce, mlflow=mlflow, models=many), headers=_headers(nonce)
        )

    @app.get("/evidence")
    def show_evidence(chosen: Chosen, request: str = "") -> Response:
        try:
            with settings.for_model(chosen[0].settings):
                asked, answer = health.evidence(request)
        except Unknown as error:
            return _failed(404, "No such evidence", str(error), "The link may belong to another ledger.")
        except (TrimtabError, SQLAlchemyError, OSError) as error:
            return _unreadable(error, "The evidence cannot be read", "Try again when the store answers.")
        nonce = secrets.token_urlsafe()
        return HTMLResponse(html.evidence(asked, answer, nonce=nonce), headers=_headers(nonce))

    return app


def _unreadable(error: Exception, title: str, remedy: str) -> Any:
    from trimtab.errors import TrimtabError

    away = f"The ledger does not answer ({type(error).__name__})."
    return _failed(503, title, str(error) if isinstance(error, TrimtabError) else away, remedy)


def _failed(status: int, title: str, sentence: str, remedy: str) -> Any:
    from fastapi.responses import HTMLResponse

    from trimtab.views.page.html import failure

    nonce = secrets.token_urlsafe()
    return HTMLResponse(failure(title, sentence, remedy, nonce=nonce), status, _headers(nonce))


def _refused(request: Any, error: Any) -> Any:
    if error.status_code == 401:
        from fastapi.responses import RedirectResponse

        root = request.scope["root_path"].removesuffix(PREFIX)
        page = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")
        return RedirectResponse(f"{root}/api/v2/auth/login?next={page}")
    if error.status_code == 404:
        return _failed(404, "No such model", str(error.detail), "Leave out `model` to see the first of them.")
    return _failed(
        error.status_code,
        "Model health is not for you",
        f"Airflow refused: {error.detail}.",
        "Ask an administrator of Airflow for permission to read the DAG "
        f"{getattr(request.state, 'dag', DAG)}; this page needs it.",
    )


def _unusable(_: Any, error: ModelsError) -> Any:
    return _failed(503, "No model can be read", str(error), "Fix the file; no restart is needed.")


def _wrong(request: Any, _: Exception) -> Any:
    return _failed(
        422,
        "Model health cannot show that",
        f"Expected a number of newest batches from 1 to {MOST} as last, got {request.query_params.get('last')!r}.",
        "Leave out `last` to see a year of weeks.",
    )


def _headers(nonce: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _mlflow() -> str | None:
    """Return MLflow's address for a browser, without credentials: TRIMTAB_MLFLOW_PAGE, or MLFLOW_TRACKING_URI."""
    from trimtab import settings
    from trimtab.redaction import without_credentials

    where = settings.read()
    url = where.mlflow_page or where.mlflow
    is_page = urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname
    return without_credentials(url).rstrip("/") if is_page else None
