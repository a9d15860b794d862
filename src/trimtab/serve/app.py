"""The Flask application: routes for predictions, outcomes, the model, health and metrics."""

import re
import time
from typing import Any

from flask import Flask, Response, g, request
from pydantic import TypeAdapter

from trimtab.clock import Clock
from trimtab.errors import RequestRejected
from trimtab.params import Params
from trimtab.predictions.records import Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve import error_handlers, openapi
from trimtab.serve.answers import json_response, response_fields
from trimtab.serve.bodies import read_json
from trimtab.serve.faults import fault
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.outcomes import read_outcomes
from trimtab.serve.predicting import Predicting
from trimtab.serve.request_types import feedback_body, row_type
from trimtab.serve.response_types import Acknowledgement, Health, Identity, Readiness
from trimtab.serve.retries import HEADER, KEY_PATTERN, MAX_KEY_CHARACTERS
from trimtab.serve.row_checker import RowChecker
from trimtab.serve.shadow import Shadow
from trimtab.serve.tokens import Tokens

_FIELD_BYTES = 512
"""Bytes of a body allowed per field and row: many times the length of names, quotes and values."""


def create_app(
    holder: ModelHolder,
    log: LogWriter,
    params: Params,
    clock: Clock,
    *,
    tokens: Tokens,
    former: ModelHolder | None = None,
    shadow: Shadow | None = None,
) -> Flask:
    """Make the application. A process may have several, which share no state."""
    app = Flask("trimtab", static_folder=None)
    max_rows, model = params.serve.max_rows, params.model.name
    app.config["MAX_CONTENT_LENGTH"] = max_rows * (len(params.data.features) + 2) * _FIELD_BYTES
    app.config["REQUEST_SECONDS"] = params.serve.request_seconds
    app.extensions["log"] = log
    metrics = Metrics(params, _by_role(holder, former, shadow), shadow, log)
    predicting = Predicting(holder, former, shadow, log, params, clock, metrics)
    fields = response_fields(params.data.label)
    checker = RowChecker(params.data, max_rows)
    row_schema = TypeAdapter(row_type(params.data)).json_schema()
    outcomes = feedback_body(params.data.label, max_rows)
    document = openapi.document(params, checker.body, outcomes, secured=tokens.required)
    _observe(app, metrics)
    error_handlers.register(app, metrics)

    @app.post("/predict")
    def predict() -> Response:
        client = tokens.client(request.headers.get("Authorization"), "predict")
        made, is_retry = predicting.answer(checker.check(read_json()), _key(client))
        predictions = [
            {
                "prediction_id": prediction.prediction_id,
                "row_id": prediction.row_id,
                "version": prediction.version,
                **fields(prediction.answer),
            }
            for prediction in made
        ]
        response = json_response({"model": model, "predictions": predictions})
        if is_retry:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @app.post("/feedback")
    def feedback() -> Response:
        tokens.client(request.headers.get("Authorization"), "feedback")
        received = read_outcomes(read_json(), outcomes, log, model)
        new = log.add_outcomes(received, received_at=clock())
        metrics.received(new or 0)
        return json_response(Acknowledgement(received=len(received), new=new))

    @app.get("/model")
    def model_in_production() -> Response:
        tokens.client(request.headers.get("Authorization"), None)
        return json_response(_identity(holder.current(), model, row_schema))

    @app.get("/healthz")
    def healthz() -> Response:
        return json_response(Health(status="ok"))

    @app.get("/readyz")
    def readyz() -> Response:
        version = holder.current().champion.version
        return json_response(Readiness(status="ok", version=version, trouble=holder.trouble))

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json")
    def openapi_document() -> Response:
        return json_response(document)

    return app


def _by_role(
    champion: ModelHolder, former: ModelHolder | None, shadow: Shadow | None
) -> dict[Role, ModelHolder]:
    holders: dict[Role, ModelHolder | None] = {
        "champion": champion,
        "shadow": shadow.challenger if shadow else None,
        "holdback": former,
    }
    return {role: holder for role, holder in holders.items() if holder}


def _key(client: str) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not re.fullmatch(KEY_PATTERN, key):
        raise RequestRejected([fault(HEADER, f"1 to {MAX_KEY_CHARACTERS} printable ASCII characters", key)])
    return f"{client}\n{key}"


def _identity(serving: Serving, model: str, row_schema: dict[str, Any]) -> Identity:
    version, ready = serving.champion, serving.ready
    return Identity(
        model=model,
        version=version.version,
        stage="Production",
        run_id=version.run_id,
        digest=version.digest,
        commit=ready.commit,
        batches=dict(ready.batches),
        trained_through=version.trained_through.isoformat(),
        row=row_schema,
    )


def _observe(app: Flask, metrics: Metrics) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        metrics.answered(route, response.status_code, time.monotonic() - g.began)
        return response
