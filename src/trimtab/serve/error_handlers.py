"""Responses to requests that fail: always JSON, with the reason as `error`."""

import logging
from typing import cast

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from trimtab.errors import ModelBroken, RequestRejected, StoreUnreachable
from trimtab.serve.answers import json_response
from trimtab.serve.faults import Fault
from trimtab.serve.metrics import Metrics
from trimtab.serve.response_types import Error

log = logging.getLogger(__name__)
_MAX_FAULTS = 20
"""Faults in one response: the first few are enough to repair a client that sends a thousand wrong rows."""


def not_ready(trouble: str | None) -> ServiceUnavailable:
    """Return the 503 of a service that has no model yet."""
    return ServiceUnavailable(trouble or "No version is in Production yet")


def register(app: Flask, metrics: Metrics) -> None:
    """Add the handlers to the application."""

    @app.errorhandler(RequestRejected)
    def rejected(error: RequestRejected) -> Response:
        metrics.refused(error.faults)
        total, first = len(error.faults), cast(list[Fault], error.faults[:_MAX_FAULTS])
        return json_response(Error(error="The request breaks the contract", total=total, faults=first), 422)

    @app.errorhandler(StoreUnreachable)
    def unreachable(error: StoreUnreachable) -> Response:
        log.error("%s", error)  # the response names no address
        return json_response(
            Error(error="A store of the service does not answer; nothing was written, try again"), 503
        )

    @app.errorhandler(ModelBroken)
    def broken(error: ModelBroken) -> Response:
        log.error("%s", error)
        return json_response(Error(error="The model has no answer to these rows; nothing was written"), 500)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        response = json_response(Error(error=error.description or error.name), error.code or 500)
        response.headers.extend(
            (name, value) for name, value in error.get_headers() if name.lower() != "content-type"
        )
        return response
