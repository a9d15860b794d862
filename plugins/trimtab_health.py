"""The Model health page within Airflow: who may see it, and its answers over HTTP.

Airflow mounts a plugin's app without asking who comes: each route here asks for itself. Nothing here changes anything, so
there is nothing for a forged request to do; the page's buttons call Airflow's own API.
"""

import secrets
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from trimtab_models import Model, ModelsError, models

PREFIX = "/trimtab"
APP = {"name": "trimtab model health", "url_prefix": PREFIX}
VIEW = {
    "name": "Model health",
    "href": f"{PREFIX.lstrip('/')}/health",
    "destination": "nav",
    "url_route": "model-health",
}
DAG = "retrain_model"
"""Who may read this DAG of a model may read its page."""
LAST, MOST = 53, 520
"""Newest batches that are shown when nobody says how many, and at most."""


class HealthApp:
    """The app, made at its first request: every process of Airflow loads the plugins, and only one serves pages."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await _app()(scope, receive, send)


@cache
def _app() -> Any:
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, RedirectResponse, Response

    app = FastAPI(title="trimtab model health", openapi_url=None)

    def may_read(model: Model, request: Request, user: Any) -> bool:
        try:
            requires_access_dag("GET", param_dag_id=model.dag_id(DAG))(request, user)
        except HTTPException:
            return False
        return True

    def choose(request: Request, user: GetUserDep, model: str | None = None) -> list[Model]:
        """Return the model that is asked for, or the first that this user may read; then all of those."""
        every = models()
        mine = [one for one in every if may_read(one, request, user)]
        known = {one.name: one for one in every} if every[0].file else {}
        if known and model is not None and model not in known:
            expected = ", ".join(one.name for one in mine) or "nothing, for you may read none"
            raise HTTPException(404, f"Expected a model of {expected}, got {model[:200]!r}.")
        chosen = known[model] if known and model is not None else (mine or every)[0]
        request.state.dag = chosen.dag_id(DAG)
        requires_access_dag("GET", param_dag_id=request.state.dag)(request, user)
        return [chosen, *mine]

    Chosen = Annotated[list[Model], Depends(choose)]

    def failed(status: int, title: str, sentence: str, remedy: str) -> HTMLResponse:
        from trimtab.views.page.html import failure

        nonce = secrets.token_urlsafe()
        return HTMLResponse(failure(title, sentence, remedy, nonce=nonce), status, _headers(nonce))

    @app.get("/health")
    def health(chosen: Chosen, last: Annotated[int, Query(ge=1, le=MOST)] = LAST) -> Response:
        from sqlalchemy.exc import SQLAlchemyError

        from trimtab import settings
        from trimtab.errors import TrimtabError
        from trimtab.views.health import health as read
        from trimtab.views.page.html import page

        try:
            with settings.for_model(chosen[0].settings):
                found, mlflow = read(last), _mlflow()
        except (TrimtabError, SQLAlchemyError, OSError) as error:
            known = isinstance(error, TrimtabError)
            return failed(
                503,
                "Model health cannot be read",
                str(error) if known else f"The ledger was lost while it was read ({type(error).__name__}).",
                "The service goes on answering with the version that it has; the page comes back by itself.",
            )
        nonce = secrets.token_urlsafe()
        many = [one.name for one in chosen[1:] if one.file]
        text = page(found, nonce=nonce, mlflow=mlflow, models=many)
        return HTMLResponse(text, headers=_headers(nonce))

    @app.get("/evidence/{sha256}")
    def evidence(chosen: Chosen, sha256: str) -> Response:
        from trimtab import settings
        from trimtab.contracts import to_json
        from trimtab.errors import TrimtabError, Unknown
        from trimtab.views.health import evidence as read

        try:
            with settings.for_model(chosen[0].settings):
                text = to_json(read(sha256))
        except Unknown as error:
            return failed(404, "No such evidence", str(error), "Its link on the page may be of another ledger.")
        except TrimtabError as error:
            return failed(503, "The evidence cannot be read", str(error), "Try again when it answers.")
        return Response(text, media_type="application/json", headers=_headers(secrets.token_urlsafe()))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 401:
            root = request.scope["root_path"].removesuffix(PREFIX)
            place = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")
            return RedirectResponse(f"{root}/api/v2/auth/login?next={place}")
        if error.status_code == 404:
            return failed(404, "No such model", str(error.detail), "Leave model away to see the first of them.")
        return failed(
            error.status_code,
            "Model health is not for you",
            f"Airflow refused: {error.detail}.",
            f"Who may read the DAG {getattr(request.state, 'dag', DAG)} may read this page: ask an administrator of "
            "Airflow for that right.",
        )

    @app.exception_handler(ModelsError)
    def unusable(_: Request, error: ModelsError) -> Response:
        return failed(503, "No model can be read", str(error), "Every process of Airflow reads these files anew.")

    @app.exception_handler(RequestValidationError)
    def wrong(request: Request, error: RequestValidationError) -> Response:
        got = request.query_params.get("last")
        sentence = f"Expected a number of newest batches from 1 to {MOST} as last, got {got!r}."
        return failed(422, "Model health cannot show that", sentence, "Leave it away to see a year of weeks.")

    return app


def _headers(nonce: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _mlflow() -> str | None:
    """Return where a browser finds MLflow: said apart, or as the loop finds it, without its credentials."""
    from trimtab import settings

    parts = urlsplit(settings.read().mlflow_page or settings.read().mlflow)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
