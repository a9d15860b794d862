"""How an answer is told to the client and kept in the log, by the kind of the label; JSON out."""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import orjson
from flask import Response

from trimtab import params
from trimtab.predictions.records import Answer

Floats = npt.NDArray[np.float64]


def kept(label: params.Label, answers: Floats) -> list[Answer]:
    """Return answers, shaped as `train.fit.answers` shapes them, as the log keeps them.

    >>> kept(params.Multiclass(kind="multiclass", classes=["a", "b"]), np.array([[0.25, 0.75]]))
    [{'a': 0.25, 'b': 0.75}]
    """
    if isinstance(label, params.Multiclass):
        return [dict(zip(label.classes, row, strict=True)) for row in answers.tolist()]
    found: list[Answer] = answers.tolist()
    return found


def teller(label: params.Label) -> Callable[[Answer], dict[str, object]]:
    """Return how one kept answer is told to the client.

    >>> teller(params.Multiclass(kind="multiclass", classes=["a", "b"]))({"a": 0.25, "b": 0.75})
    {'probabilities': {'a': 0.25, 'b': 0.75}, 'label': 'b'}
    """
    if isinstance(label, params.Multiclass):
        return _classes
    name = "value" if isinstance(label, params.Regression) else "probability"
    return lambda answer: {name: answer}


def _classes(answer: Answer) -> dict[str, object]:
    chances = cast(Mapping[str, float], answer)
    return {"probabilities": chances, "label": max(chances, key=chances.__getitem__)}


def figures(label: params.Label, answers: Floats) -> list[float]:
    """Return one number an answer for the histogram: the probability (of the likeliest class), or the value."""
    found: list[float] = (answers.max(axis=1) if isinstance(label, params.Multiclass) else answers).tolist()
    return found


def bounds(label: params.Label) -> list[float]:
    """Return the upper bounds of the histogram's buckets: tenths of the range, and halves of the lowest and highest."""
    low, high = (label.min, label.max) if isinstance(label, params.Regression) else (0.0, 1.0)
    return [
        low + (high - low) * part for part in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
    ]


def json_response(content: object, status: int = 200) -> Response:
    """Return a response with this JSON."""
    return Response(orjson.dumps(content), status, content_type="application/json")
