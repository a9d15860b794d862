"""The Flask application: predict, learn the truth, say who answers and how it is."""

import time
import uuid
from datetime import datetime

from flask import Flask, Response, g, jsonify, request

from trimtab import params
from trimtab.clock import Clock
from trimtab.data.schema import ROW_ID, unseen
from trimtab.serve import intake, refusals
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.outcomes import truths_of
from trimtab.serve.prediction_log import Prediction, PredictionLog
from trimtab.serve.schema import frame_of
from trimtab.train.fit import answers

_FIELD_BYTES = 512
"""Room in a body for each field of each row: names, quotes and the longest values fit in many times."""


def create_app(holder: ModelHolder, log: PredictionLog, wanted: params.Params, clock: Clock) -> Flask:
    """Make the application around a holder and a log; several may live in one process."""
    app = Flask("trimtab", static_folder=None)
    most, model = wanted.serve.max_rows, wanted.model.name
    app.config["MAX_CONTENT_LENGTH"] = most * (len(wanted.data.features) + 2) * _FIELD_BYTES
    metrics = Metrics(model, wanted.data.categories, holder)
    _observe(app, metrics)
    refusals.register(app, metrics)

    @app.post("/predict")
    def predict() -> Response:
        rows = intake.rows(intake.body(), most)
        serving = _serving(holder)
        frame = frame_of(rows, wanted.data)
        chances = answers(serving.pipeline, wanted, frame).tolist()
        found = _predictions(serving, model, rows, chances, clock())
        log.add(found)
        metrics.predicted(serving.champion.version, len(rows), unseen(frame, wanted.data))
        shown = [
            {"prediction_id": one.prediction_id, "row_id": one.row_id, "probability": one.probability}
            for one in found
        ]
        return jsonify(model=model, version=serving.champion.version, predictions=shown)

    @app.post("/feedback")
    def feedback() -> Response:
        truths = truths_of(intake.items(intake.body(), most), log, model)
        new = log.learn(truths, received_at=clock())
        metrics.learnt(new)
        return jsonify(received=len(truths), new=new)

    @app.get("/model")
    def who() -> Response:
        champion = _serving(holder).champion
        return jsonify(
            model=model,
            version=champion.version,
            stage="Production",
            run_id=champion.run_id,
            digest=champion.digest,
            trained_through=champion.trained_through.isoformat(),
        )

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> Response:
        version = _serving(holder).champion.version
        return jsonify(status="ok", version=version, trouble=holder.trouble)

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    return app


def _serving(holder: ModelHolder) -> Serving:
    serving = holder.serving  # read once: it may be replaced at any time
    if serving is None:
        raise refusals.not_ready(holder.trouble)
    return serving


def _predictions(
    serving: Serving, model: str, rows: list[dict[str, object]], answers: list[float], now: datetime
) -> list[Prediction]:
    return [
        Prediction(
            prediction_id=str(uuid.uuid4()),
            row_id=str(row[ROW_ID]),
            model=model,
            version=serving.champion.version,
            served_at=now,
            probability=answer,
            features=row,
        )
        for row, answer in zip(rows, answers, strict=True)
    ]


def _observe(app: Flask, metrics: Metrics) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        metrics.answered(route, response.status_code, time.monotonic() - g.began)
        return response
