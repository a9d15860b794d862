"""What the service answers when it cannot do what was asked: always JSON, with the reason as `error`."""

import logging

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from trimtab.errors import ModelBroken, RequestRejected, StoreUnreachable
from trimtab.serve.metrics import Metrics
from trimtab.serve.wire import told

log = logging.getLogger(__name__)
_MOST = 20
"""Faults that one answer names; a client that sends a thousand wrong rows wants to know the first few."""


def not_ready(trouble: str | None) -> ServiceUnavailable:
    """Return the 503 of a service that has no model yet."""
    return ServiceUnavailable(trouble or "No version is in Production yet")


def register(app: Flask, metrics: Metrics) -> None:
    """Let the application answer errors in this way."""

    @app.errorhandler(RequestRejected)
    def rejected(error: RequestRejected) -> Response:
        metrics.refused(error.faults)
        total, first = len(error.faults), error.faults[:_MOST]
        return told({"error": "The request breaks the contract", "total": total, "faults": first}, 422)

    @app.errorhandler(StoreUnreachable)
    def unreachable(error: StoreUnreachable) -> Response:
        log.error("%s", error)  # the client is told no address
        return told({"error": "A store of the service does not answer; nothing was written, try again"}, 503)

    @app.errorhandler(ModelBroken)
    def broken(error: ModelBroken) -> Response:
        log.error("%s", error)
        return told({"error": "The model has no answer to these rows; nothing was written"}, 500)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        answer = told({"error": error.description or error.name}, error.code or 500)
        answer.headers.extend(
            (name, value) for name, value in error.get_headers() if name.lower() != "content-type"
        )
        return answer
