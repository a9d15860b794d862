"""Rows at the edges of the data contract: what the service accepts, a model must be able to predict for."""

import warnings
from collections.abc import Iterator, Mapping

import pandas as pd
from sklearn.pipeline import Pipeline

from trimtab import params
from trimtab.evaluate.scores import broken
from trimtab.train.fit import predict

_UNDECLARED = "a category that was not declared"


def fault(pipeline: Pipeline, parameters: params.Params, example: pd.Series) -> str | None:
    """Say what is wrong with a model's predictions at the edges of the data contract, None if nothing is.

    Args:
        pipeline: The fitted model.
        parameters: The contract.
        example: An ordinary row with all features; each edge differs from it in one feature.
    """
    names, rows = zip(*_edges(example, parameters.data), strict=True)
    frame = pd.DataFrame(list(rows))
    try:
        with warnings.catch_warnings(action="ignore"):
            answers = predict(pipeline, parameters, frame)
    except Exception as error:  # the estimator's own, of any kind
        return f"it cannot predict for rows that the data contract allows: {type(error).__name__}: {error}"
    wrong = [name for name, bad in zip(names, broken(parameters.data.label, answers), strict=True) if bad]
    return f"its predictions are not valid for {', '.join(wrong)}" if wrong else None


def _edges(example: pd.Series, data: params.Data) -> Iterator[tuple[str, Mapping[str, object]]]:
    ordinary = {name: example[name] for name in data.features}
    for name, feature in data.features.items():
        values: dict[str, object] = (
            {"an undeclared category": _UNDECLARED}
            if isinstance(feature, params.Category)
            else {"its minimum": feature.min, "its maximum": feature.max}
        )
        if feature.nullable:
            values["null"] = None
        for edge, value in values.items():
            yield f"{name} at {edge}", ordinary | {name: value}
    numbers = {name: of for name, of in data.features.items() if isinstance(of, params.Number)}
    yield "all minima", ordinary | {name: of.min for name, of in numbers.items()}
    yield "all nulls", ordinary | {name: None for name, of in data.features.items() if of.nullable}
