"""The form of an answer in the response, in the log and in the histogram, by the kind of the label."""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import orjson
from flask import Response

from trimtab.params import Label, Multiclass, Regression
from trimtab.predictions.records import Answer

Floats = npt.NDArray[np.float64]


def logged(label: Label, answers: Floats) -> list[Answer]:
    """Return answers, shaped as `train.fit.predict` shapes them, as the log stores them.

    >>> logged(Multiclass(kind="multiclass", classes=["a", "b"]), np.array([[0.25, 0.75]]))
    [{'a': 0.25, 'b': 0.75}]
    """
    if isinstance(label, Multiclass):
        return [dict(zip(label.classes, row, strict=True)) for row in answers.tolist()]
    return cast(list[Answer], answers.tolist())


def response_fields(label: Label) -> Callable[[Answer], dict[str, object]]:
    """Return a function that makes the fields of a response from a logged answer.

    >>> response_fields(Multiclass(kind="multiclass", classes=["a", "b"]))({"a": 0.25, "b": 0.75})
    {'probabilities': {'a': 0.25, 'b': 0.75}, 'label': 'b'}
    """
    if isinstance(label, Multiclass):
        return _class_fields
    name = "value" if isinstance(label, Regression) else "probability"
    return lambda answer: {name: answer}


def _class_fields(answer: Answer) -> dict[str, object]:
    probabilities = cast(Mapping[str, float], answer)
    return {"probabilities": probabilities, "label": max(probabilities, key=probabilities.__getitem__)}


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
