"""Builds the design matrix: the declared features in declared order, categories as codes, and labels as numbers."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OrdinalEncoder

from trimtab import params
from trimtab.data.schema import LABEL


def design(frame: pd.DataFrame, data: params.Data) -> pd.DataFrame:
    """Return the features of a batch, shape `(n, number of features)`, in the order of `data.features`.

    Numbers are float64, and missing ones are NaN. Categories are strings, and missing or undeclared ones are None.
    """
    columns = {
        name: (
            frame[name].astype(object).mask(~frame[name].isin(feature.categories), other=None)
            if isinstance(feature, params.Category)
            else pd.to_numeric(frame[name]).astype("float64")
        )
        for name, feature in data.features.items()
    }
    return pd.DataFrame(columns, index=frame.index)


def targets(frame: pd.DataFrame, data: params.Data) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    """Return the labels of labelled rows as numbers, shape `(n,)`.

    A binary label is 0 or 1, a multiclass label the position of its class in `data.label.classes`, and a regression
    label its value.
    """
    if isinstance(data.label, params.Regression):
        return frame[LABEL].to_numpy(dtype="float64")
    if isinstance(data.label, params.Multiclass):
        return pd.Categorical(frame[LABEL], categories=data.label.classes).codes.astype("int64")
    return frame[LABEL].to_numpy(dtype="int64")


def encoder(data: params.Data) -> ColumnTransformer:
    """Return an encoder for the output of `design`: first categories, coded in declared order, then unchanged numbers.

    An undeclared category becomes NaN, which gradient boosting on histograms treats as missing.
    """
    numbers = [name for name in data.features if name not in data.categories]
    codes = OrdinalEncoder(
        categories=list(data.categories.values()),
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
    )
    return ColumnTransformer([("category", codes, list(data.categories)), ("number", "passthrough", numbers)])
