"""The service's description is sound, says what the service does, and the service does what it says."""

import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.support.builders import CLASSES, VALUE, shipped, shops
from tests.unit.serve.shelf import ROW, WANTED
from trimtab.errors import RequestRejected
from trimtab.serve import openapi
from trimtab.serve.outcomes import label_expected
from trimtab.serve.rows import RowChecker

CHECKER = RowChecker(WANTED.data)


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize(
    "wanted", [shipped(), shops(data__label=CLASSES.model_dump())], ids=["shipped", "classes"]
)
def test_the_document_is_openapi(wanted, secured):
    document = openapi.document(wanted, secured=secured)
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
def test_a_row_is_sound_to_the_schema_where_it_is_to_the_service(change, sound):
    row = {**ROW, **change}
    assert jsonschema.Draft202012Validator(openapi.row_schema(WANTED.data)).is_valid(row) is sound
    try:
        CHECKER.check([row])
        found = True
    except RequestRejected:
        found = False
    assert found is sound


@pytest.mark.parametrize("label", [WANTED.data.label, CLASSES, VALUE], ids=["binary", "classes", "value"])
@pytest.mark.parametrize("value", [0, 1, 2, -1, 0.5, 101.0, "low", "none", None, True])
def test_a_label_is_one_to_the_schema_where_it_is_to_the_service(label, value):
    schema = openapi.label_schema(label)
    if value is True:  # JSON Schema takes no truth for a number, and jsonschema's enum takes it for 1
        assert label_expected(value, label) is not None
        return
    assert jsonschema.Draft202012Validator(schema).is_valid(value) is (label_expected(value, label) is None)
