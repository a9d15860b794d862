"""The Flask application: predict, learn the truth, say who answers and how it is."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from trimtab import params
from trimtab.clock import Clock
from trimtab.data.schema import ROW_ID, unseen
from trimtab.errors import RequestRejected
from trimtab.serve.holder import ModelHolder
from trimtab.serve.metrics import Metrics
from trimtab.serve.prediction_log import Prediction, PredictionLog, Truth
from trimtab.serve.schema import frame_of, moment
from trimtab.train.fit import probabilities

_MAX_BYTES = 8 * 1024 * 1024


def create_app(holder: ModelHolder, log: PredictionLog, wanted: params.Params, clock: Clock) -> Flask:
    """Make the application around a holder and a log."""
    app = Flask("trimtab")
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BYTES
    metrics = Metrics(wanted.model.name)
    _observe(app, metrics)
    _errors(app)

    @app.post("/predict")
    def predict() -> tuple[Response, int]:
        rows = _rows(_body(), wanted.serve.max_rows)
        serving = holder.serving
        if serving is None:
            return _fail(503, holder.trouble or "no version is in Production yet")
        frame = frame_of(rows, wanted.data)
        answers = probabilities(serving.pipeline, wanted, frame)
        served_at, version = clock().isoformat(), serving.champion.version
        predictions = [
            Prediction(
                prediction_id=str(uuid.uuid4()),
                row_id=row[ROW_ID],
                model=wanted.model.name,
                version=version,
                served_at=served_at,
                probability=answer,
                features=dict(row),
            )
            for row, answer in zip(rows, answers, strict=True)
        ]
        log.add(predictions)
        metrics.predicted(version, len(rows), unseen(frame, wanted.data))
        found = [
            {"prediction_id": one.prediction_id, "row_id": one.row_id, "probability": one.probability}
            for one in predictions
        ]
        return jsonify(model=wanted.model.name, version=version, predictions=found), 200

    @app.post("/feedback")
    def feedback() -> tuple[Response, int]:
        truths = _truths(_body(), log)
        new = log.learn(truths, received_at=clock())
        return jsonify(received=len(truths), new=new), 200

    @app.get("/model")
    def model() -> tuple[Response, int]:
        if holder.serving is None:
            return _fail(503, holder.trouble or "no version is in Production yet")
        champion = holder.serving.champion
        return (
            jsonify(
                model=wanted.model.name,
                version=champion.version,
                stage="Production",
                run_id=champion.run_id,
                digest=champion.digest,
                trained_through=champion.trained_through.isoformat(),
            ),
            200,
        )

    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        return jsonify(status="ok"), 200

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        if holder.serving is None:
            return _fail(503, holder.trouble or "no version is in Production yet")
        return jsonify(status="ok", version=holder.serving.champion.version, trouble=holder.trouble), 200

    @app.get("/metrics")
    def exposition() -> Response:
        version = holder.serving.champion.version if holder.serving else None
        return Response(metrics.text(version, holder.failures), mimetype="text/plain; version=0.0.4")

    return app


def _body() -> Mapping[str, Any]:
    body = request.get_json()
    if not isinstance(body, dict):
        raise RequestRejected([{"field": "(body)", "expected": "an object", "got": type(body).__name__}])
    return body


def _rows(body: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    if set(body) == {"row"}:
        return [body["row"]]
    rows = body.get("rows")
    if set(body) != {"rows"} or not isinstance(rows, list) or not rows:
        raise RequestRejected(
            [
                {
                    "field": "rows",
                    "expected": "one object as `row`, or a list of them as `rows`",
                    "got": sorted(body),
                }
            ]
        )
    if len(rows) > most:
        raise RequestRejected(
            [{"field": "rows", "expected": f"at most {most} rows (serve.max_rows)", "got": len(rows)}]
        )
    return rows


def _truths(body: Mapping[str, Any], log: PredictionLog) -> list[Truth]:
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise RequestRejected([{"field": "items", "expected": "a list of outcomes", "got": sorted(body)}])
    named = [
        one["prediction_id"]
        for one in items
        if isinstance(one, dict) and isinstance(one.get("prediction_id"), str)
    ]
    known = log.rows_of(named)
    truths, faults = [], []
    for number, one in enumerate(items):
        fault = _truth_fault(one, known)
        if fault is not None:
            faults.append({"row": number, **fault})
            continue
        known_at = moment(one["label_known_at"])
        prediction_id = one.get("prediction_id")
        truths.append(
            Truth(
                row_id=known[prediction_id] if prediction_id else one[ROW_ID],
                prediction_id=prediction_id,
                label=one["label"],
                label_known_at=known_at.isoformat() if known_at else "",
            )
        )
    if faults:
        raise RequestRejected(faults)
    return truths


def _truth_fault(one: object, known: Mapping[str, str]) -> dict[str, object] | None:
    if not isinstance(one, dict):
        return {"field": "(item)", "expected": "an object", "got": type(one).__name__}
    if "prediction_id" in one and one["prediction_id"] not in known:
        got = one["prediction_id"]
        return {"field": "prediction_id", "expected": "the id of a prediction of this service", "got": got}
    if "prediction_id" not in one and not (isinstance(one.get(ROW_ID), str) and one[ROW_ID]):
        return {"field": ROW_ID, "expected": "row_id or prediction_id", "got": one.get(ROW_ID)}
    if one.get("label") not in (0, 1) or isinstance(one.get("label"), bool | float):
        return {"field": "label", "expected": "0 or 1", "got": one.get("label")}
    if moment(one.get("label_known_at")) is None:
        return {
            "field": "label_known_at",
            "expected": "a time with its offset",
            "got": one.get("label_known_at"),
        }
    return None


def _fail(status: int, reason: str) -> tuple[Response, int]:
    return jsonify(error=reason), status


def _errors(app: Flask) -> None:
    @app.errorhandler(RequestRejected)
    def rejected(error: RequestRejected) -> tuple[Response, int]:
        return jsonify(error="The request breaks the contract", faults=error.faults), 422

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[Response, int]:
        return _fail(error.code or 500, error.description or error.name)


def _observe(app: Flask, metrics: Metrics) -> None:
    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "unknown"
        metrics.answered(route, response.status_code, time.monotonic() - g.began)
        return response
