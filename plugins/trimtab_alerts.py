"""What Prometheus and Alertmanager reach on Airflow's API server: the loop's figures, and the receiver of its alerts.

`GET /trimtab/prometheus/metrics` and `POST /trimtab/prometheus/alerts`, both for whoever brings the bearer token: Airflow
guards no app that a plugin mounts. An alert is a request in the ledger before it is answered; then `retrain_model` is
woken by the event that `monitor_model` and `sweep` use too. When this process ends in between, the next delivery of the
alert wakes it, or the sweep.
"""

import asyncio
import hmac
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

PREFIX = "/trimtab/prometheus"
TOKEN, TOKEN_FILE = "TRIMTAB_ALERTS_TOKEN", "TRIMTAB_ALERTS_TOKEN_FILE"  # pragma: allowlist secret
REQUESTS = f"trimtab://{os.environ.get('TRIMTAB_MODEL', 'model')}/requests"
MOST_BYTES = 1_000_000
"""Room for a thousand alerts."""
_BODY_SECONDS = 10.0
_KEPT_SECONDS = 3.0
"""How old the figures may be: two replicas of Prometheus read the ledger once."""


class Refused(Exception):
    """A call that is not answered with what it asked for."""

    def __init__(self, status: int, detail: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail, self.headers = status, detail, headers


class AlertsApp:
    """The app, made at its first request: every process of Airflow loads the plugins, and only one serves."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await _app()(scope, receive, send)


APP = {"name": "trimtab alerts", "url_prefix": PREFIX, "app": AlertsApp()}


@cache
def _app() -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, Response
    from starlette.background import BackgroundTask

    app = FastAPI(title="trimtab alerts", openapi_url=None)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        _authorise(request)
        text, kind = await _threaded(_exposition)
        return Response(text, media_type=kind)

    @app.post("/alerts")
    async def alerts(request: Request) -> Response:
        _authorise(request)
        outcome = await _threaded(_receive, _parsed(await _body(request)))
        fires = outcome["opened"] or outcome["joined"]
        return JSONResponse(outcome, background=BackgroundTask(_threaded, _wake) if fires else None)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return JSONResponse({"detail": error.detail}, error.status, error.headers)

    return app


def _authorise(request: Any) -> None:
    wanted = _token()
    if not wanted:
        raise Refused(503, f"No secret is configured. Set {TOKEN} or {TOKEN_FILE} for the API server.")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Refused(401, "Expected a bearer token, got none.", {"WWW-Authenticate": "Bearer"})
    if not hmac.compare_digest(given.strip().encode(), wanted.encode()):
        raise Refused(403, f"The bearer token is not the one of {TOKEN} or {TOKEN_FILE}.")


def _token() -> str:
    path = os.environ.get(TOKEN_FILE)
    if path and Path(path).is_file():  # read each time: a new secret needs no restart
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(TOKEN, "").strip()


async def _body(request: Any) -> bytes:
    from starlette.requests import ClientDisconnect

    found = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                found += part
                if len(found) > MOST_BYTES:
                    raise Refused(413, f"Expected at most {MOST_BYTES} bytes, got more.")
    except TimeoutError as error:
        raise Refused(408, f"Expected the body within {_BODY_SECONDS:.0f} s, got a part of it.") from error
    except ClientDisconnect as error:
        raise Refused(400, "Expected the whole body, got a part of it.") from error
    return bytes(found)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"Expected JSON, got {type(error).__name__}: {str(error)[:200]}") from error


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads of its own: a ledger that is locked must not take those that Airflow answers with."""
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="trimtab-alerts")


async def _threaded(work: Any, *arguments: Any) -> Any:
    from sqlalchemy.exc import SQLAlchemyError
    from trimtab.errors import RequestRejected, TrimtabError

    try:
        return await asyncio.get_running_loop().run_in_executor(_threads(), work, *arguments)
    except RequestRejected as error:
        raise Refused(422, error.faults) from error
    except TrimtabError as error:  # Alertmanager sends again what was answered with a 5xx
        raise Refused(503, str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        log.exception("The ledger was lost")
        raise Refused(503, f"The ledger was lost ({type(error).__name__}). Send again.") from error


def _receive(payload: Any) -> dict[str, list[str]]:
    from trimtab.steps.alerts import receive

    return dict(receive(payload))


def _exposition() -> tuple[bytes, str]:
    from trimtab.steps.metrics import CONTENT_TYPE

    return _scraped().text(), CONTENT_TYPE


@cache
def _scraped() -> Any:
    from trimtab.steps.metrics import Scraped

    return Scraped(_KEPT_SECONDS)


def _wake() -> None:
    """Emit the event that wakes `retrain_model`, unless the arbiter has looked at every request already."""
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from trimtab.steps.alerts import unread

    try:
        if not unread():
            return
        with create_session() as session:
            asset = session.scalar(select(AssetModel).where(AssetModel.uri == REQUESTS))
            if asset is None:
                raise LookupError(f"Airflow knows no asset {REQUESTS}")
            asset_manager.register_asset_change(asset=asset, source_is_api=True, session=session)
    except Exception:  # whatever it was, the request is in the ledger
        log.exception("retrain_model was not woken by the alert; the sweep does it")
