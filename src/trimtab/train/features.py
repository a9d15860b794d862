"""The design matrix: declared features in declared order, and how categories become codes."""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OrdinalEncoder

from trimtab import params


def design(frame: pd.DataFrame, data: params.Data) -> pd.DataFrame:
    """Return the features of a batch, shape `(n, number of features)`, in the order of `data.features`.

    Numbers are float64 with NaN where they are missing; categories are strings, and a missing or undeclared one is None.
    """
    columns = {}
    for name, feature in data.features.items():
        values = frame[name]
        if isinstance(feature, params.Category):
            columns[name] = values.astype(object).mask(~values.isin(feature.categories), other=None)
        else:
            columns[name] = pd.to_numeric(values).astype("float64")
    return pd.DataFrame(columns, index=frame.index)


def encoder(data: params.Data) -> ColumnTransformer:
    """Return the encoder of `design`: categories first, as codes in the order of `params.yaml`, then numbers as they are.

    An unknown category becomes NaN, which gradient boosting on histograms treats as missing.
    """
    numbers = [name for name in data.features if name not in data.categories]
    codes = OrdinalEncoder(
        categories=list(data.categories.values()),
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
    )
    return ColumnTransformer([("category", codes, list(data.categories)), ("number", "passthrough", numbers)])
