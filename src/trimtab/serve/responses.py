"""The responses of the service: their types, also for the OpenAPI document, and the forms of an answer by kind of label."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast

import numpy as np
import numpy.typing as npt
import orjson
from flask import Response
from pydantic import ConfigDict, Field, with_config
from typing_extensions import NotRequired, TypedDict

from trimtab.params import Label, Multiclass, Regression
from trimtab.predictions.records import Answer
from trimtab.serve.bodies import Fault
from trimtab.serve.request_types import label_type, object_type

Floats = npt.NDArray[np.float64]

_closed = with_config(ConfigDict(extra="forbid"))
_Count = Annotated[int, Field(ge=0)]
_Probability = Annotated[float, Field(ge=0, le=1)]
_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


@_closed
class Acknowledgement(TypedDict):
    """How many outcomes were received, and how many of them are new; null while they wait for the prediction log."""

    received: _Count
    new: _Count | None


@_closed
class Identity(TypedDict):
    """The version that answers, where it comes from, and the JSON Schema of a row."""

    model: str
    version: str
    stage: Literal["Production"]
    run_id: str
    digest: str
    commit: str | None
    batches: dict[str, str]
    trained_through: _Time
    row: dict[str, Any]


@_closed
class Health(TypedDict):
    """The process is alive."""

    status: Literal["ok"]


@_closed
class Readiness(TypedDict):
    """The version that answers, and what is wrong, if anything."""

    status: Literal["ok"]
    version: str
    trouble: str | None


@_closed
class Error(TypedDict):
    """Why a request was refused; of a request that breaks the contract all faults are counted, the first are listed."""

    error: str
    total: NotRequired[_Count]
    faults: NotRequired[list[Fault]]


def predictions_type(label: Label) -> Any:
    """Return the type of the answer to `POST /predict`."""
    answer: dict[str, Any] = {"probability": _Probability}
    if isinstance(label, Regression):
        answer = {"value": float}
    elif isinstance(label, Multiclass):
        probabilities = object_type("Probabilities", dict.fromkeys(label.classes, _Probability))
        answer = {"probabilities": probabilities, "label": label_type(label)}
    prediction: Any = object_type(
        "Prediction", {"prediction_id": str, "row_id": str, "version": str, **answer}
    )
    return object_type("Predictions", {"model": str, "predictions": list[prediction]})


def response_fields(label: Label) -> Callable[[Answer], dict[str, object]]:
    """Return a function that makes the fields of a response from a logged answer.

    >>> response_fields(Multiclass(kind="multiclass", classes=["a", "b"]))({"a": 0.25, "b": 0.75})
    {'probabilities': {'a': 0.25, 'b': 0.75}, 'label': 'b'}
    """
    name = "value" if isinstance(label, Regression) else "probability"
    # The answer to a retry may be that of a version with another kind of label.
    return lambda answer: _class_fields(answer) if isinstance(answer, Mapping) else {name: answer}


def logged(label: Label, answers: Floats) -> list[Answer]:
    """Return answers, shaped as `train.fit.predict` shapes them, as the log stores them.

    >>> logged(Multiclass(kind="multiclass", classes=["a", "b"]), np.array([[0.25, 0.75]]))
    [{'a': 0.25, 'b': 0.75}]
    """
    if isinstance(label, Multiclass):
        return [dict(zip(label.classes, row, strict=True)) for row in answers.tolist()]
    return cast(list[Answer], answers.tolist())


def histogram_values(label: Label, answers: Floats) -> list[float]:
    """Return one number per answer for the histogram: the probability (of the most likely class), or the value."""
    return cast(list[float], (answers.max(axis=1) if isinstance(label, Multiclass) else answers).tolist())


def bucket_bounds(label: Label) -> list[float]:
    """Return the upper bounds of the histogram's buckets: tenths of the range; the lowest and the highest are halved."""
    low, high = (label.min, label.max) if isinstance(label, Regression) else (0.0, 1.0)
    return [
        low + (high - low) * part for part in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
    ]


def json_response(content: object, status: int = 200) -> Response:
    """Return a response with this JSON."""
    return Response(orjson.dumps(content), status, content_type="application/json")


def _class_fields(probabilities: Mapping[str, float]) -> dict[str, object]:
    return {"probabilities": probabilities, "label": max(probabilities, key=probabilities.__getitem__)}
