"""The service's description as OpenAPI 3.1, made from `params.yaml`; the schema of a row is JSON Schema 2020-12."""

from collections.abc import Mapping
from typing import Any

from trimtab import __version__, params
from trimtab.data.schema import EVENT_TIME, KNOWN_AT, LABEL, ROW_ID
from trimtab.predictions.records import LONGEST_ID
from trimtab.serve.actions import ACTION, ACTIONS, NAME, PROPENSITY
from trimtab.serve.retries import HEADER, LONGEST_KEY

Schema = dict[str, Any]

_ID: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": r"^[^\u0000]*$"}
_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "description": "A time with its offset, of the years 1678 to 2261.",
    "examples": ["2026-03-01T05:15:00Z"],
}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_WHY = {
    "400": "The body is not JSON.",
    "401": "No token, or an unknown one.",
    "403": "The token has another role.",
    "408": "The request did not arrive in time.",
    "409": f"A request with this {HEADER} is being answered.",
    "413": "More rows, or a larger body, than serve.max_rows allows.",
    "415": "The body is not said to be JSON.",
    "422": "The request breaks the contract.",
    "503": "There is no model yet, or a store does not answer.",
}


def document(wanted: params.Params, *, secured: bool) -> Schema:
    """Return the whole document; `secured` when clients need a token."""
    most, label = wanted.serve.max_rows, wanted.data.label
    paths = {
        "/predict": {"post": _predict(most)},
        "/feedback": {"post": _feedback(most)},
        "/model": {"get": _get("Who answers", "Identity", "401", "503")},
        "/healthz": {"get": _get("Whether the process lives", "Health")},
        "/readyz": {"get": _get("Whether there is a model", "Readiness", "503")},
        "/openapi.json": {"get": _get("This document", "Document")},
        "/metrics": {
            "get": {
                "summary": "Metrics for Prometheus",
                "responses": {"200": {"description": "The exposition.", "content": {"text/plain": {}}}},
            }
        },
    }
    components: Schema = {"schemas": _schemas(wanted.data, label)}
    if secured:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path in ("/predict", "/feedback", "/model"):
            for operation in paths[path].values():
                operation["security"] = [{"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {"title": wanted.model.name, "version": __version__},
        "paths": paths,
        "components": components,
    }


def row_schema(data: params.Data) -> Schema:
    """Return the JSON Schema of one row to predict."""
    features = {name: _feature(feature) for name, feature in data.features.items()}
    return _object({ROW_ID: _ID, EVENT_TIME: _TIME, **features})


def label_schema(label: params.Label) -> Schema:
    """Return the JSON Schema of a label."""
    if isinstance(label, params.Regression):
        return {"type": "number", "minimum": label.min, "maximum": label.max}
    return {"enum": list(label.classes) if isinstance(label, params.Multiclass) else [0, 1]}


def _feature(feature: params.Feature) -> Schema:
    if isinstance(feature, params.Number):
        kind = ["number", "null"] if feature.nullable else "number"
        return {"type": kind, "minimum": feature.min, "maximum": feature.max}
    return {
        "type": ["string", "null"] if feature.nullable else "string",
        "description": "Another text than the declared ones is taken for unknown.",
        "examples": list(feature.categories),
    }


def _schemas(data: params.Data, label: params.Label) -> Schema:
    nullable = {"type": ["string", "null"]}
    name = _ID | {"type": ["string", "null"]}
    outcome = _object({ROW_ID: name, "prediction_id": name, LABEL: label_schema(label), KNOWN_AT: _TIME})
    outcome |= {
        "required": [LABEL, KNOWN_AT],
        "anyOf": [{"required": [ROW_ID]}, {"required": ["prediction_id"]}],
    }
    fault = _object({"row": _COUNT, "field": _TEXT, "expected": _TEXT, "got": {}})
    fault["required"] = ["field", "expected", "got"]
    error = _object({"error": _TEXT, "total": _COUNT, "faults": {"type": "array", "items": fault}})
    error["required"] = ["error"]
    identity = ("model", "version", "stage", "run_id", "digest")
    return {
        "Row": row_schema(data),
        "Action": _object({NAME: _ID, PROPENSITY: {"type": "number", "exclusiveMinimum": 0, "maximum": 1}})
        | {"type": ["object", "null"], "description": "What is done upon the answer, and the chance of it."},
        "Outcome": outcome,
        "Prediction": _object({"prediction_id": _TEXT, ROW_ID: _TEXT, "version": _TEXT, **_answer(label)}),
        "Predictions": _object(
            {"model": _TEXT, "predictions": {"type": "array", "items": _ref("Prediction")}}
        ),
        "Learnt": _object({"received": _COUNT, "new": _COUNT | {"type": ["integer", "null"]}}),
        "Identity": _object(
            {
                **dict.fromkeys(identity, _TEXT),
                "commit": nullable,
                "batches": {"type": "object", "additionalProperties": _TEXT},
                "trained_through": {"type": "string", "format": "date-time"},
                "row": {"type": "object"},
            }
        ),
        "Health": _object({"status": {"const": "ok"}}),
        "Readiness": _object({"status": {"const": "ok"}, "version": _TEXT, "trouble": nullable}),
        "Document": {"type": "object"},
        "Error": error,
    }


def _answer(label: params.Label) -> Schema:
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    if isinstance(label, params.Regression):
        return {"value": {"type": "number"}}
    if isinstance(label, params.Multiclass):
        chances = _object(dict.fromkeys(label.classes, chance))
        return {"probabilities": chances, "label": label_schema(label)}
    return {"probability": chance}


def _predict(most: int) -> Schema:
    key = {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "The same for a client's retry, which then is the same prediction.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
    }
    made = _post("Answers for one row or many", "row", "Row", "Predictions", most, "409")
    one, many = made["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    one["properties"][ACTION] = _ref("Action")
    many["properties"][ACTIONS] = {
        "type": "array",
        "items": _ref("Action"),
        "minItems": 1,
        "maxItems": most,
        "description": "One for each row.",
    }
    return made | {"parameters": [key]}


def _feedback(most: int) -> Schema:
    return _post("What became of rows, by their id or a prediction's", "item", "Outcome", "Learnt", most)


def _post(summary: str, name: str, one: str, answer: str, most: int, *more: str) -> Schema:
    many = {"type": "array", "items": _ref(one), "minItems": 1, "maxItems": most}
    body = {"oneOf": [_object({name: _ref(one)}), _object({f"{name}s": many})]}
    refusals = ("400", "401", "403", "408", "413", "415", "422", "503", *more)
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _response("Done.", answer), **_refusals(refusals)},
    }


def _get(summary: str, answer: str, *refusals: str) -> Schema:
    return {"summary": summary, "responses": {"200": _response("Done.", answer), **_refusals(refusals)}}


def _refusals(statuses: tuple[str, ...]) -> Schema:
    return {status: _response(_WHY[status], "Error") for status in sorted(statuses)}


def _response(description: str, schema: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
