"""The service's description is sound, says what the service does, and the service does what it says."""

from contextlib import nullcontext

import jsonschema
import pytest
from openapi_spec_validator import validate
from pydantic import TypeAdapter

from tests.support.builders import CLASSES, VALUE, shipped, shops
from tests.unit.serve.shelf import ROW, WANTED
from trimtab.errors import RequestRejected
from trimtab.serve import openapi
from trimtab.serve.request_types import feedback_body, label_type, row_type
from trimtab.serve.row_checker import RowChecker

CHECKER = RowChecker(WANTED.data, max_rows=50)


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        shipped(),
        shops(data__label=CLASSES.model_dump()),
        shops(data__label=VALUE.model_dump(), gate__metric="squared_error"),
    ],
    ids=["shipped", "classes", "value"],
)
def test_the_document_is_openapi(params, secured):
    predict, feedback = RowChecker(params.data, 50).body, feedback_body([params.data.label], 50)
    document = openapi.document(params, predict, feedback, secured=secured)
    validate(document)
    assert ("security" in document["paths"]["/predict"]["post"]) is secured


def test_every_route_is_described(client):
    routes = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert routes == set(client.get("/openapi.json").json["paths"])


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        ({}, True),
        ({"price": None, "shop": None}, True),
        ({"shop": "west"}, True),
        ({"price": 100}, True),
        ({"price": 100.5}, False),
        ({"price": "10"}, False),
        ({"noise": None}, False),
        ({"shop": 1}, False),
        ({"row_id": ""}, False),
        ({"row_id": "x" * 301}, False),
        ({"event_time": None}, False),
        ({"color": "red"}, False),
    ],
)
def test_a_row_is_valid_in_the_schema_where_it_is_to_the_service(change, sound):
    row = {**ROW, **change}
    schema = TypeAdapter(row_type(WANTED.data, {})).json_schema()
    assert jsonschema.Draft202012Validator(schema).is_valid(row) is sound
    with nullcontext() if sound else pytest.raises(RequestRejected):
        CHECKER.check({"row": row})


@pytest.mark.parametrize("label", [WANTED.data.label, CLASSES, VALUE], ids=["binary", "classes", "value"])
@pytest.mark.parametrize("value", [0, 1, 2, -1, 0.5, 101.0, "low", "none", None, True])
def test_a_label_is_valid_in_the_schema_where_it_is_to_the_service(label, value):
    item = {"row_id": "a", "label": value, "label_known_at": "2026-01-06T00:00:00Z"}
    valid = jsonschema.Draft202012Validator(TypeAdapter(label_type(label)).json_schema()).is_valid(value)
    with nullcontext() if valid else pytest.raises(RequestRejected):
        feedback_body([label], 50).check({"item": item}, context={})
