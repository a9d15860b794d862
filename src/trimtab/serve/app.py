"""The Flask application: predict, learn the truth, say who answers and how it is."""

import time

from flask import Flask, Response, g, request

from trimtab import params
from trimtab.clock import Clock
from trimtab.errors import RequestRejected
from trimtab.predictions.records import Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve import actions, intake, openapi, refusals
from trimtab.serve.answers import teller
from trimtab.serve.faults import fault
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.log_metrics import LogState
from trimtab.serve.metrics import Metrics
from trimtab.serve.outcomes import truths_of
from trimtab.serve.predicting import Predicting
from trimtab.serve.retries import HEADER, key_fault
from trimtab.serve.shadow import Shadow
from trimtab.serve.tokens import Tokens
from trimtab.serve.wire import told

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
    app.extensions["log"] = log
    metrics = Metrics(wanted, _by_role(holder, former, shadow), shadow)
    metrics.watch(LogState(model, log))
    predicting = Predicting(holder, former, shadow, log, wanted, clock, metrics)
    tell = teller(wanted.data.label)
    document = openapi.document(wanted, secured=tokens.wanted)
    _observe(app, metrics)
    refusals.register(app, metrics)

    @app.post("/predict")
    def predict() -> Response:
        client = tokens.client(request.headers.get("Authorization"), "predict")
        content, taken = actions.parted(intake.body())
        made, again = predicting.answer(intake.listed(content, "row", most), _key(client), taken)
        shown = [
            {
                "prediction_id": one.prediction_id,
                "row_id": one.row_id,
                "version": one.version,
                **tell(one.answer),
            }
            for one in made
        ]
        answer = told({"model": model, "predictions": shown})
        if again:
            answer.headers["Idempotent-Replayed"] = "true"
        return answer

    @app.post("/feedback")
    def feedback() -> Response:
        tokens.client(request.headers.get("Authorization"), "feedback")
        truths = truths_of(intake.listed(intake.body(), "item", most), log, model, wanted.data.label)
        new = log.learn(truths, received_at=clock())
        metrics.learnt(new or 0)
        return told({"received": len(truths), "new": new})

    @app.get("/model")
    def who() -> Response:
        tokens.client(request.headers.get("Authorization"), None)
        return told(_identity(_serving(holder), wanted))

    @app.get("/healthz")
    def healthz() -> Response:
        return told({"status": "ok"})

    @app.get("/readyz")
    def readyz() -> Response:
        version = _serving(holder).champion.version
        return told({"status": "ok", "version": version, "trouble": holder.trouble})

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json")
    def described() -> Response:
        return told(document)

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
        raise refusals.not_ready(holder.trouble)
    return serving


def _key(client: str) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    expected = key_fault(key)
    if expected is not None:
        raise RequestRejected([fault(HEADER, expected, key)])
    return f"{client}\n{key}"


def _identity(serving: Serving, wanted: params.Params) -> dict[str, object]:
    version, ready = serving.champion, serving.ready
    return {
        "model": wanted.model.name,
        "version": version.version,
        "stage": "Production",
        "run_id": version.run_id,
        "digest": version.digest,
        "commit": ready.commit,
        "batches": dict(ready.batches),
        "trained_through": version.trained_through.isoformat(),
        "row": openapi.row_schema(wanted.data),
    }


def _observe(app: Flask, metrics: Metrics) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        metrics.answered(route, response.status_code, time.monotonic() - g.began)
        return response
