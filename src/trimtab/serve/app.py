"""The Flask application: routes for predictions, outcomes, the model, health and metrics. Errors are answered in JSON."""

import logging
import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from trimtab.clock import Clock
from trimtab.errors import ModelBroken, RequestRejected, StoreUnreachable
from trimtab.params import Params
from trimtab.predictions.records import Outcome, Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve.bodies import Body, Fault, fault, read_json, under
from trimtab.serve.contract import Contracts
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.predicting import Predicting
from trimtab.serve.request_types import is_id
from trimtab.serve.responses import Acknowledgement, Error, Health, Identity, Readiness, json_response
from trimtab.serve.retries import HEADER, KEY_PATTERN, MAX_KEY_CHARACTERS
from trimtab.serve.tokens import Tokens

log = logging.getLogger(__name__)

_FIELD_BYTES = 512
"""Bytes of a body allowed per field and row: many times the length of names, quotes and values."""
_MAX_FAULTS = 20
"""Faults in one response: the first few are enough to repair a client that sends a thousand wrong rows."""


def create_app(
    holders: Mapping[Role, ModelHolder], writer: LogWriter, params: Params, clock: Clock, *, tokens: Tokens
) -> Flask:
    """Make the application. A process may have several, which share no state.

    The holders other than `champion` are optional: without a role, its kind of prediction is not made.
    """
    app = Flask("trimtab", static_folder=None)
    max_rows, model, champion = params.serve.max_rows, params.model.name, holders["champion"]
    app.config["MAX_CONTENT_LENGTH"] = max_rows * (len(params.data.features) + 2) * _FIELD_BYTES
    app.config["REQUEST_SECONDS"] = params.serve.request_seconds
    app.extensions["log"] = writer
    metrics = Metrics(params, holders, writer)
    predicting = Predicting(holders, writer, params, clock, metrics)
    contracts = Contracts(champion, params, metrics, secured=bool(tokens.clients))
    _observe(app, metrics)
    _answer_errors(app, metrics)

    @app.post("/predict")
    def predict() -> Response:
        client = tokens.client(request.headers.get("Authorization"), "predict")
        content, serving = read_json(), champion.current()
        contract = contracts.of(serving)
        made, is_retry = predicting.answer(serving, contract.rows.check(content), _key(client))
        predictions = [
            {
                "prediction_id": prediction.prediction_id,
                "row_id": prediction.row_id,
                "version": prediction.version,
                **contract.fields(prediction.answer),
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
        outcomes = contracts.of(champion.serving).outcomes
        received = _outcomes(read_json(), outcomes, writer, model, clock())
        new = writer.add_outcomes(received)
        metrics.received(new or 0)
        return json_response(Acknowledgement(received=len(received), new=new))

    @app.get("/model")
    def model_in_production() -> Response:
        tokens.client(request.headers.get("Authorization"), None)
        serving = champion.current()
        return json_response(_identity(serving, model, contracts.of(serving).row_schema))

    @app.get("/healthz")
    def healthz() -> Response:
        return json_response(Health(status="ok"))

    @app.get("/readyz")
    def readyz() -> Response:
        version = champion.current().version.version
        return json_response(Readiness(status="ok", version=version, trouble=champion.trouble))

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json")
    def openapi_document() -> Response:
        return json_response(contracts.of(champion.serving).document)

    return app


def _key(client: str) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not re.fullmatch(KEY_PATTERN, key):
        raise RequestRejected([fault(HEADER, f"1 to {MAX_KEY_CHARACTERS} printable ASCII characters", key)])
    return f"{client}\n{key}"


def _identity(serving: Serving, model: str, row_schema: dict[str, Any]) -> Identity:
    version = serving.version
    return Identity(
        model=model,
        version=version.version,
        stage="Production",
        run_id=version.run_id,
        digest=version.digest,
        commit=serving.commit,
        batches=dict(serving.batches),
        trained_through=version.trained_through.isoformat(),
        row=row_schema,
    )


def _outcomes(content: Any, body: Body, writer: LogWriter, model: str, now: datetime) -> list[Outcome]:
    """Return the outcomes of a request, each under its row's id; rows of prediction ids are looked up in the log."""
    items = [item for item in body.items(content) if isinstance(item, dict)]
    prediction_ids = [item["prediction_id"] for item in items if is_id(item.get("prediction_id"))]
    predictions = writer.find(model, prediction_ids, complete=True)
    checked = body.check(content, context={id_: entry.row_id for id_, entry in predictions.items()})
    return [Outcome(model=model, received_at=now, **dict(item)) for item in under(checked, "item")]


def _observe(app: Flask, metrics: Metrics) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        metrics.answered(route, response.status_code, time.monotonic() - g.began)
        return response


def _answer_errors(app: Flask, metrics: Metrics) -> None:
    @app.errorhandler(RequestRejected)
    def rejected(error: RequestRejected) -> Response:
        metrics.refused(error.faults)
        faults = cast(list[Fault], error.faults[:_MAX_FAULTS])
        return json_response(
            Error(error="The request breaks the contract", total=len(error.faults), faults=faults), 422
        )

    @app.errorhandler(StoreUnreachable)
    @app.errorhandler(ModelBroken)
    def failed(error: StoreUnreachable | ModelBroken) -> Response:
        log.error("%s", error)  # the response names no address
        text, status = "A store of the service does not answer; nothing was written, try again", 503
        if isinstance(error, ModelBroken):
            text, status = "The model has no answer to these rows; nothing was written", 500
        return json_response(Error(error=text), status)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        response = json_response(Error(error=error.description or error.name), error.code or 500)
        response.headers.extend(
            (name, value) for name, value in error.get_headers() if name.lower() != "content-type"
        )
        return response
