"""The metrics of the loop and the receiver of its alerts, on Airflow's API server.

`GET /trimtab/prometheus/metrics` and `POST /trimtab/prometheus/alerts` both check a bearer token themselves, because Airflow
does not protect the apps that a plugin mounts. An alert is a request in the ledger before it is acknowledged. Then
`retrain_model` is woken by the event that `monitor_model` and `sweep` use too. If this process ends in between, the next
delivery of the alert or the sweep wakes it. With several models (`TRIMTAB_MODELS`), one scrape returns the metrics of all of
them, and an alert goes to the model in its label `model`.
"""

import asyncio
import hmac
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from starlette.exceptions import HTTPException
from trimtab_models import Model, ModelsError, models

log = logging.getLogger(__name__)

PREFIX = "/trimtab/prometheus"
TOKEN, TOKEN_FILE = "TRIMTAB_ALERTS_TOKEN", "TRIMTAB_ALERTS_TOKEN_FILE"  # pragma: allowlist secret
MOST_BYTES = 1_000_000
"""Enough for a thousand alerts."""
_BODY_SECONDS = 10.0
_KEPT_SECONDS = 3.0
"""How old the metrics may be, so that two replicas of Prometheus cause one read of the ledger."""
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="trimtab-alerts")
"""For the ledger, so that a locked ledger does not occupy the threads with which Airflow answers."""


async def alerts_app(scope: Any, receive: Any, send: Any) -> None:
    """Answer one request. The app is created at the first, because every process of Airflow loads the plugins."""
    await _app()(scope, receive, send)


APP = {"name": "trimtab alerts", "url_prefix": PREFIX, "app": alerts_app}


@cache
def _app() -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, Response
    from starlette.background import BackgroundTask

    from trimtab import redaction
    from trimtab.views.prometheus import CONTENT_TYPE, Scraped

    redaction.install()
    app, scraped = FastAPI(title="trimtab alerts", openapi_url=None), Scraped(_KEPT_SECONDS)

    def exposition() -> bytes:
        return scraped.text({model.name: model.settings for model in models() if model.file} or None)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        _authorise(request)
        return Response(await _threaded(exposition), media_type=CONTENT_TYPE)

    @app.post("/alerts")
    async def alerts(request: Request) -> Response:
        _authorise(request)
        outcome, fired, trouble = await _threaded(_receive, _parsed(await _body(request)))
        background = BackgroundTask(_threaded, _wake, fired) if fired else None
        if trouble is None:
            return JSONResponse(outcome, background=background)
        return JSONResponse({"detail": trouble.detail, **outcome}, trouble.status_code, background=background)

    return app


def _authorise(request: Any) -> None:
    token = _token()
    if not token:
        raise HTTPException(503, f"No secret is configured. Set {TOKEN} or {TOKEN_FILE} for the API server.")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise HTTPException(401, "Expected a bearer token, got none.", {"WWW-Authenticate": "Bearer"})
    if not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise HTTPException(403, f"The bearer token is not that of {TOKEN} or {TOKEN_FILE}.")


def _token() -> str:
    from trimtab import settings

    where = settings.read()
    path = where.alerts_token_file
    if path and path.is_file():  # read for each call, so a new secret needs no restart
        return path.read_text(encoding="utf-8").strip()
    return where.alerts_token.get_secret_value().strip()


async def _body(request: Any) -> bytes:
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"Expected at most {MOST_BYTES} bytes, got more.")
    except TimeoutError as error:
        raise HTTPException(
            408, f"Expected the body within {_BODY_SECONDS:.0f} s, got a part of it."
        ) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "Expected the whole body, got a part of it.") from error
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"Expected JSON, got {type(error).__name__}: {str(error)[:200]}") from error


async def _threaded(work: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _refusing, work, *arguments)


def _refusing(work: Any, *arguments: Any) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    from trimtab.errors import RequestRejected, TrimtabError

    try:
        return work(*arguments)
    except RequestRejected as error:
        raise HTTPException(422, error.faults) from error
    except (TrimtabError, ModelsError) as error:  # Alertmanager sends an alert again after a 5xx
        raise HTTPException(503, str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        log.exception("The ledger does not answer")
        raise HTTPException(
            503, f"The ledger does not answer ({type(error).__name__}). Send the alert again."
        ) from error


def _receive(payload: Any) -> tuple[dict[str, list[str]], list[Model], HTTPException | None]:
    """Return the outcome of each alert, the models to wake, and an error if some of the alerts were not accepted."""
    from trimtab.loop.alerts import by_model

    every = {model.name: model for model in models()}
    many = any(model.file for model in every.values())
    total: dict[str, list[str]] = {"opened": [], "joined": [], "closed": [], "ignored": []}
    fired, troubles = [], []
    for name, part in (by_model(payload) if many else dict.fromkeys(every, payload)).items():
        try:
            outcome = _refusing(_receive_of, every, name, part)
        except HTTPException as error:
            if not many:
                raise
            troubles.append(error)  # alerts of other models are accepted
            continue
        if outcome["opened"] or outcome["joined"]:
            fired.append(every[name])
        for became, fingerprints in outcome.items():
            total[became] += fingerprints
    # A 5xx takes precedence, because it is retried.
    return total, fired, max(troubles, key=lambda error: error.status_code, default=None)


def _receive_of(every: dict[str, Model], name: str, part: Any) -> dict[str, list[str]]:
    from trimtab import settings
    from trimtab.loop.alerts import receive

    if name not in every:
        raise HTTPException(
            422, f"Expected an alert with a label model of {', '.join(every)}, got {name[:200]!r}."
        )
    with settings.for_model(every[name].settings):
        return dict(receive(part))


def _wake(fired: list[Model]) -> None:
    """Emit the event that wakes `retrain_model` of each model, unless its arbiter has seen every request already."""
    from trimtab import settings

    for model in fired:
        try:
            with settings.for_model(model.settings):
                _wake_one(model.uri("requests"))
        except Exception:  # the request is in the ledger, whatever failed
            log.exception("The alert did not wake %s; the sweep will", model.dag_id("retrain_model"))


def _wake_one(requests: str) -> None:
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from trimtab.loop.alerts import unread

    if not unread():
        return
    with create_session() as session:
        asset = session.scalar(select(AssetModel).where(AssetModel.uri == requests))
        if asset is None:
            raise LookupError(f"Airflow has no asset {requests}")
        asset_manager.register_asset_change(asset=asset, source_is_api=True, session=session)
