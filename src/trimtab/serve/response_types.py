"""What the service answers, as types: of the code that answers, and of the OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import NotRequired, TypedDict

from trimtab.params import Label, Multiclass, Regression
from trimtab.serve.faults import Fault
from trimtab.serve.request_types import label_type, object_type

_closed = with_config(ConfigDict(extra="forbid"))
_Count = Annotated[int, Field(ge=0)]
_Probability = Annotated[float, Field(ge=0, le=1)]
_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


@_closed
class Acknowledgement(TypedDict):
    """Outcomes that were taken, and how many of them are new; null while they wait for the prediction log."""

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
    """The process lives."""

    status: Literal["ok"]


@_closed
class Readiness(TypedDict):
    """The version that answers, and why the last look for a newer one failed."""

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
    prediction: Any = object_type(
        "Prediction", {"prediction_id": str, "row_id": str, "version": str, **_answer(label)}
    )
    return object_type("Predictions", {"model": str, "predictions": list[prediction]})


def _answer(label: Label) -> dict[str, Any]:
    if isinstance(label, Regression):
        return {"value": float}
    if isinstance(label, Multiclass):
        probabilities = object_type("Probabilities", dict.fromkeys(label.classes, _Probability))
        return {"probabilities": probabilities, "label": label_type(label)}
    return {"probability": _Probability}
