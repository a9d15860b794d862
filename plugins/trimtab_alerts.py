"""What Prometheus and Alertmanager reach on Airflow's API server: the loop's figures, and the receiver of its alerts.

`GET /trimtab/prometheus/metrics` and `POST /trimtab/prometheus/alerts`, both for whoever brings the bearer token: Airflow
guards no app that a plugin mounts. An alert is a request in the ledger before it is answered; then `retrain_model` is
woken by the event that `monitor_model` and `sweep` use too. When this process ends in between, the next delivery of the
alert wakes it, or the sweep. Where `TRIMTAB_MODELS` makes several models, the figures are those of all, and an alert goes to
the model of its label `model`.
"""

import asyncio
import hmac
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from trimtab_models import Model, ModelsError, models

log = logging.getLogger(__name__)

PREFIX = "/trimtab/prometheus"
TOKEN, TOKEN_FILE = "TRIMTAB_ALERTS_TOKEN", "TRIMTAB_ALERTS_TOKEN_FILE"  # pragma: allowlist secret
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
        outcome, fired, trouble = await _threaded(_receive, _parsed(await _body(request)))
        background = BackgroundTask(_threaded, _wake, fired) if fired else None
        if trouble is None:
            return JSONResponse(outcome, background=background)
        return JSONResponse({"detail": trouble.detail, **outcome}, trouble.status, background=background)

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
    from trimtab import settings

    path = settings.read().alerts_token_file
    if path and path.is_file():  # read each time: a new secret needs no restart
        return path.read_text(encoding="utf-8").strip()
    return settings.read().alerts_token.get_secret_value().strip()


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
    return await asyncio.get_running_loop().run_in_executor(_threads(), _refusing, work, *arguments)


def _refusing(work: Any, *arguments: Any) -> Any:
    from sqlalchemy.exc import SQLAlchemyError

    from trimtab.errors import RequestRejected, TrimtabError

    try:
        return work(*arguments)
    except RequestRejected as error:
        raise Refused(422, error.faults) from error
    except (TrimtabError, ModelsError) as error:  # Alertmanager sends again what was answered with a 5xx
        raise Refused(503, str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        log.exception("The ledger was lost")
        raise Refused(503, f"The ledger was lost ({type(error).__name__}). Send again.") from error


def _receive(payload: Any) -> tuple[dict[str, list[str]], list[Model], Refused | None]:
    """Return what became of the alerts, the models to wake, and what keeps the call from being taken in as a whole."""
    from trimtab.loop.alerts import by_model, receive

    every = {model.name: model for model in models()}
    if all(model.file is None for model in every.values()):
        (only,), outcome = every.values(), dict(receive(payload))
        return outcome, [only] if _fires(outcome) else [], None
    total: dict[str, list[str]] = {"opened": [], "joined": [], "closed": [], "ignored": []}
    fired: list[Model] = []
    trouble: Refused | None = None
    for name, part in by_model(payload).items():
        try:
            outcome = _refusing(_receive_of, every, name, part)
        except Refused as error:  # the others' alerts are taken in; a 5xx counts more, for it is sent again
            trouble = max(trouble or error, error, key=lambda one: one.status)
            continue
        fired += [every[name]] if _fires(outcome) else []
        for became, fingerprints in outcome.items():
            total[became] += fingerprints
    return total, fired, trouble


def _receive_of(every: dict[str, Model], name: str, part: Any) -> dict[str, list[str]]:
    from trimtab import settings
    from trimtab.loop.alerts import receive

    if name not in every:
        raise Refused(422, f"Expected an alert with a label model of {', '.join(every)}, got {name[:200]!r}.")
    with settings.for_model(every[name].settings):
        return dict(receive(part))


def _fires(outcome: dict[str, list[str]]) -> bool:
    return bool(outcome["opened"] or outcome["joined"])


def _exposition() -> tuple[bytes, str]:
    from trimtab.views.prometheus import CONTENT_TYPE

    many = {model.name: model.settings for model in models() if model.file}
    return _scraped().text(many or None), CONTENT_TYPE


@cache
def _scraped() -> Any:
    from trimtab.views.prometheus import Scraped

    return Scraped(_KEPT_SECONDS)


def _wake(fired: list[Model]) -> None:
    """Emit the event that wakes each model's `retrain_model`, unless its arbiter has looked at every request already."""
    from trimtab import settings

    for model in fired:
        try:
            with settings.for_model(model.settings):
                _wake_one(model.uri("requests"))
        except Exception:  # whatever it was, the request is in the ledger
            log.exception("%s was not woken by the alert; the sweep does it", model.dag_id("retrain_model"))


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
            raise LookupError(f"Airflow knows no asset {requests}")
        asset_manager.register_asset_change(asset=asset, source_is_api=True, session=session)
