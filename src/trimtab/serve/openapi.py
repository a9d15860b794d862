"""The OpenAPI 3.1 document of the service, made from the types that check its requests and build its answers."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from trimtab import __version__
from trimtab.params import Params
from trimtab.serve.bodies import Body
from trimtab.serve.responses import Acknowledgement, Error, Health, Identity, Readiness, predictions_type
from trimtab.serve.retries import HEADER, KEY_PATTERN

Schema = dict[str, Any]

_REASONS = {
    "400": "The body is not JSON.",
    "401": "No token, or an unknown one.",
    "403": "The token has another role.",
    "408": "The request did not arrive in time.",
    "409": f"A request with this {HEADER} is being processed.",
    "413": "More rows, or a larger body, than serve.max_rows allows.",
    "415": "The body does not say that it is JSON.",
    "422": "The request breaks the contract.",
    "503": "There is no model yet, or a store does not answer.",
}
_POST_STATUSES = ("400", "401", "403", "408", "413", "415", "422", "503")
_IDEMPOTENCY_KEY: Schema = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same for a client's retry, which then gets the same predictions.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
}


def document(params: Params, predict: Body, feedback: Body, *, secured: bool) -> Schema:
    """Return the document.

    Args:
        params: The parameters.
        predict: The body of `POST /predict`.
        feedback: The body of `POST /feedback`.
        secured: Whether clients need a token.
    """
    types: dict[str, TypeAdapter[Any]] = {
        "predict": predict.any_form,
        "feedback": feedback.any_form,
        "predictions": TypeAdapter(predictions_type(params.data.label)),
        "acknowledgement": TypeAdapter(Acknowledgement),
        "identity": TypeAdapter(Identity),
        "health": TypeAdapter(Health),
        "readiness": TypeAdapter(Readiness),
        "document": TypeAdapter(Schema),
        "error": TypeAdapter(Error),
    }
    by_key, definitions = TypeAdapter.json_schemas(
        [(name, "validation", type_) for name, type_ in types.items()],
        ref_template="#/components/schemas/{model}",
    )
    schemas = {name: schema for (name, _), schema in by_key.items()}

    def operation(summary: str, answer: str, statuses: Iterable[str] = ()) -> Schema:
        responses = {status: _content(_REASONS[status], schemas["error"]) for status in sorted(statuses)}
        return {"summary": summary, "responses": {"200": _content("Done.", schemas[answer]), **responses}}

    def post(summary: str, body: str, answer: str, *statuses: str) -> Schema:
        request = {"required": True, "content": {"application/json": {"schema": schemas[body]}}}
        return {"requestBody": request, **operation(summary, answer, [*_POST_STATUSES, *statuses])}

    token: Schema = {"security": [{"token": []}]} if secured else {}
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if secured else {}
    metrics = {"200": {"description": "The metrics.", "content": {"text/plain": {}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": params.model.name, "version": __version__},
        "paths": {
            "/predict": {
                "post": post("Predict rows", "predict", "predictions", "409")
                | {"parameters": [_IDEMPOTENCY_KEY]}
                | token
            },
            "/feedback": {"post": post("Report the outcomes of rows", "feedback", "acknowledgement") | token},
            "/model": {
                "get": operation("Describe the model that answers", "identity", ["401", "503"]) | token
            },
            "/healthz": {"get": operation("Tell whether the process lives", "health")},
            "/readyz": {"get": operation("Tell whether there is a model", "readiness", ["503"])},
            "/openapi.json": {"get": operation("This document", "document")},
            "/metrics": {"get": {"summary": "Metrics for Prometheus", "responses": metrics}},
        },
        "components": {"schemas": definitions["$defs"], **schemes},
    }


def _content(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
