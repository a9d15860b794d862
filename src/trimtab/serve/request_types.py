"""The requests that clients may send, as pydantic types made from `params.yaml`.

The same types check requests (`row_checker`, `outcomes`) and become the schemas of the OpenAPI document. The description of
a field is also the expectation that its faults state.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Union, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    field_validator,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import NotRequired, TypedDict

from trimtab.contracts import RecipeFeature
from trimtab.data.schema import EVENT_TIME, ROW_ID
from trimtab.params import Binary, Data, Feature, Label, Number, Regression
from trimtab.predictions.records import LONGEST_ID
from trimtab.serve.bodies import Body

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
"""A nanosecond timestamp of 64 bits holds these years as a whole."""
_ID_TEXT = f"text of 1 to {LONGEST_ID} characters without NUL"
_TIME_TEXT = f"a time from {_FIRST_YEAR} to {_LAST_YEAR} with its UTC offset, such as 2026-03-01T05:15:00Z"


def aware_time(text: str) -> datetime:
    """Read an ISO 8601 time with its UTC offset.

    Raises:
        ValueError: The text is not a time, has no offset, or is before 1678 or after 2261.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ValueError(f"expected {_TIME_TEXT}, got {text!r}")
    return time


# PostgreSQL does not store NUL.
_Text = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\u0000]*$")]
Id = Annotated[_Text, Field(description=_ID_TEXT)]
_OptionalId = Annotated[_Text | None, Field(description=f"{_ID_TEXT}, or null")]
_Time = Annotated[
    str,
    AfterValidator(aware_time),
    Field(
        description=_TIME_TEXT, examples=["2026-03-01T05:15:00Z"], json_schema_extra={"format": "date-time"}
    ),
]


is_id = TypeAdapter(Id, config=_STRICT).validator.isinstance_python


class Action(BaseModel):
    """What the client does with a prediction, and the probability with which it chose to do that."""

    model_config = _STRICT
    name: Id
    propensity: Annotated[float, Field(gt=0, le=1, description="a number above 0 and at most 1")]


class Item(BaseModel):
    """The outcome of a row, named by the row's id or by the id of one of its predictions.

    Validation needs the rows of the named predictions as its context: row ids by prediction id.
    """

    model_config = _STRICT | ConfigDict(
        json_schema_extra={"anyOf": [{"required": [ROW_ID]}, {"required": ["prediction_id"]}]}
    )
    prediction_id: _OptionalId = None
    row_id: Annotated[_OptionalId, Field(validate_default=True)] = None
    label_known_at: _Time

    @field_validator("prediction_id")
    @classmethod
    def _was_served(cls, prediction_id: str | None, info: ValidationInfo) -> str | None:
        if prediction_id is not None and prediction_id not in (info.context or {}):
            raise _expected("the id of a prediction of this service")
        return prediction_id

    @field_validator("row_id")
    @classmethod
    def _fits_the_prediction(cls, row_id: str | None, info: ValidationInfo) -> str | None:
        if "prediction_id" not in info.data:
            return row_id  # the prediction has a fault already
        served = (info.context or {}).get(info.data["prediction_id"])
        if row_id is None and served is None:
            raise _expected(f"{_ID_TEXT}, or a prediction_id")
        if None not in (row_id, served) and row_id != served:
            raise _expected(f"{served}, the row of the prediction")
        return row_id or served


def row_type(data: Data, optional: Mapping[str, RecipeFeature]) -> Any:
    """Return the type of one row to predict, which ignores unknown fields: `RowChecker` looks for them.

    It may have the optional features.

    A typed dictionary, because features may have any name, and because it takes three quarters of a model's time. Letting
    pydantic look for unknown fields would take a third more.
    """
    features = {name: _feature_type(feature) for name, feature in data.features.items()}
    others = {name: NotRequired[_optional_type(feature)] for name, feature in optional.items()}
    return object_type(
        "Row",
        {ROW_ID: Id, EVENT_TIME: _Time, **features, **others},
        ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False}),
    )


def label_type(label: Label) -> Any:
    """Return the type of a label."""
    if isinstance(label, Regression):
        number, text = _number(label.min, label.max)
        return Annotated[number, Field(description=text)]
    if isinstance(label, Binary):
        return Annotated[int, Field(ge=0, le=1, description="0 or 1")]
    return Annotated[
        cast(Any, Literal)[tuple(label.classes)], Field(description=f"one of {', '.join(label.classes)}")
    ]


def predict_body(data: Data, max_rows: int, optional: Mapping[str, RecipeFeature]) -> Body:
    """Return the body of `POST /predict`: a row, or rows, and the client's actions."""
    row = row_type(data, optional)
    actions = Annotated[
        list[Action | None], AfterValidator(_one_each), Field(description="One for each row.")
    ]
    return Body(
        name="row",
        single=object_type("PredictRow", {"row": row, "action": NotRequired[Action | None]}),
        several=object_type(
            "PredictRows", {"rows": _list_type(row, max_rows), "actions": NotRequired[actions]}
        ),
        max_items=max_rows,
    )


def feedback_body(labels: Sequence[Label], max_items: int) -> Body:
    """Return the body of `POST /feedback`: an outcome, or outcomes, with any of these labels."""
    types = [label_type(label) for label in labels]
    item = create_model("Item", __base__=Item, label=(_any_of(types) if types[1:] else types[0], ...))
    return Body(
        name="item",
        single=object_type("FeedbackItem", {"item": item}),
        several=object_type("FeedbackItems", {"items": _list_type(item, max_items)}),
        max_items=max_items,
    )


def object_type(name: str, fields: Mapping[str, Any], config: ConfigDict | None = None) -> Any:
    """Return the type of an object with exactly these fields, in whose schema it has this name."""
    type_ = TypedDict(name, fields)  # type: ignore[misc]  # known at run time
    return with_config(_STRICT | (config or {}))(type_)


def _one_each(actions: list[Action | None], info: ValidationInfo) -> list[Action | None]:
    if len(actions) != len(info.data.get("rows", actions)):
        raise _expected("a list with an action or null for each row")
    return actions


def _expected(text: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{text}", {"text": text})


def _any_of(types: Sequence[Any]) -> Any:
    """Return the union of described types; any other value has one fault."""
    text = "; or ".join(type_.__metadata__[-1].description for type_ in types)

    def check(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        try:
            return validate(value)
        except ValidationError:
            raise _expected(text) from None

    return Annotated[Union[tuple(types)], WrapValidator(check), Field(description=text)]


def _list_type(item: Any, max_items: int) -> Any:
    return Annotated[list[item], Field(min_length=1, max_length=max_items)]


def _feature_type(feature: Feature) -> Any:
    if isinstance(feature, Number):
        type_, text = _number(feature.min, feature.max)
    else:
        type_, text = Annotated[str, Field(examples=feature.categories)], "text"
    if feature.nullable:
        type_, text = type_ | None, f"{text}, or null"
    return Annotated[type_, Field(description=text)]


def _optional_type(feature: RecipeFeature) -> Any:
    if feature.categories is None:
        return Annotated[float | None, Field(description="a number, or null")]
    return Annotated[str | None, Field(description="text, or null")]


def _number(low: float, high: float) -> tuple[Any, str]:
    return Annotated[float, Field(ge=low, le=high)], f"a number between {low:.15g} and {high:.15g}"
