"""The Flask application: predict, learn the truth, say who answers and how it is."""

import time
from typing import Any

from flask import Flask, Response, g, request
from pydantic import TypeAdapter

from trimtab import params
from trimtab.clock import Clock
from trimtab.errors import RequestRejected
from trimtab.predictions.records import Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve import error_handlers, openapi
from trimtab.serve.answers import json_response, teller
from trimtab.serve.bodies import read_json
from trimtab.serve.faults import fault
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.log_metrics import LogState
from trimtab.serve.metrics import Metrics
from trimtab.serve.outcomes import read_outcomes
from trimtab.serve.predicting import Predicting
from trimtab.serve.request_types import feedback_body, row_type
from trimtab.serve.response_types import Acknowledgement, Health, Identity, Readiness
from trimtab.serve.retries import HEADER, key_fault
from trimtab.serve.row_checker import RowChecker
from trimtab.serve.shadow import Shadow
from trimtab.serve.tokens import Tokens

_FIELD_BYTES = 512
"""Room in a body for each field of each row: names, quotes and the longest values fit in many times."""


def create_app(
    holder: ModelHolder,
    log: LogWriter,
    wanted: params.Params,
    clock: Clock,
    *,
    tokens: Tokens,
    former: ModelHolder | None = None,
    shadow: Shadow | None = None,
) -> Flask:
    """Make the application around holders and a log; several may live in one process."""
    app = Flask("trimtab", static_folder=None)
    most, model = wanted.serve.max_rows, wanted.model.name
    app.config["MAX_CONTENT_LENGTH"] = most * (len(wanted.data.features) + 2) * _FIELD_BYTES
    app.config["REQUEST_SECONDS"] = wanted.serve.request_seconds
    app.extensions["metrics"] = metrics = Metrics(wanted, _by_role(holder, former, shadow), shadow)
    metrics.watch(LogState(model, log))
    predicting = Predicting(holder, former, shadow, log, wanted, clock, metrics)
    tell = teller(wanted.data.label)
    checker = RowChecker(wanted.data, most)
    row_schema = TypeAdapter(row_type(wanted.data)).json_schema()
    outcomes = feedback_body(wanted.data.label, most)
    document = openapi.document(wanted, checker.body, outcomes, secured=tokens.wanted)
    _observe(app, metrics)
    error_handlers.register(app, metrics)

    @app.post("/predict")
    def predict() -> Response:
        client = tokens.client(request.headers.get("Authorization"), "predict")
        made, again = predicting.answer(checker.check(read_json()), _key(client))
        shown = [
            {
                "prediction_id": one.prediction_id,
                "row_id": one.row_id,
                "version": one.version,
                **tell(one.answer),
            }
            for one in made
        ]
        answer = json_response({"model": model, "predictions": shown})
        if again:
            answer.headers["Idempotent-Replayed"] = "true"
        return answer

    @app.post("/feedback")
    def feedback() -> Response:
        tokens.client(request.headers.get("Authorization"), "feedback")
        truths = read_outcomes(read_json(), outcomes, log, model)
        new = log.learn(truths, received_at=clock())
        metrics.learnt(new or 0)
        return json_response(Acknowledgement(received=len(truths), new=new))

    @app.get("/model")
    def who() -> Response:
        tokens.client(request.headers.get("Authorization"), None)
        return json_response(_identity(_serving(holder), model, row_schema))

    @app.get("/healthz")
    def healthz() -> Response:
        return json_response(Health(status="ok"))

    @app.get("/readyz")
    def readyz() -> Response:
        version = _serving(holder).champion.version
        return json_response(Readiness(status="ok", version=version, trouble=holder.trouble))

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json")
    def described() -> Response:
        return json_response(document)

    return app


def _by_role(
    champion: ModelHolder, former: ModelHolder | None, shadow: Shadow | None
) -> dict[Role, ModelHolder]:
    holders: dict[Role, ModelHolder] = {"champion": champion}
    if shadow is not None:
        holders["shadow"] = shadow.challenger
    if former is not None:
        holders["holdback"] = former
    return holders


def _serving(holder: ModelHolder) -> Serving:
    serving = holder.serving
    if serving is None:
        raise error_handlers.not_ready(holder.trouble)
    return serving


def _key(client: str) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    expected = key_fault(key)
    if expected is not None:
        raise RequestRejected([fault(HEADER, expected, key)])
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
