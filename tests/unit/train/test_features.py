import numpy as np
import pandas as pd

from tests.support.builders import sales, shops
from trimtab.train.features import design, encoder


def test_features_come_in_the_order_of_the_parameters() -> None:
    assert list(design(sales(3), shops().data).columns) == ["shop", "price", "noise"]


def test_an_undeclared_category_is_missing() -> None:
    frame = sales(3).assign(shop=["north", "west", None])
    assert design(frame, shops().data)["shop"].isna().tolist() == [False, True, True]


def test_the_original_rows_do_not_change() -> None:
    frame = sales(3).assign(shop=["north", "west", None])
    design(frame, shops().data)
    assert frame["shop"].tolist() == ["north", "west", None]


def test_codes_follow_the_declared_order_and_unknown_is_nan() -> None:
    frame = sales(3).assign(shop=["south", "north", "west"], price=[1.0, 2.0, np.nan])
    coded = encoder(shops().data).fit_transform(design(frame, shops().data))
    assert coded[:2, 0].tolist() == [1.0, 0.0]
    assert np.isnan(coded[2, 0])
    assert np.isnan(coded[2, 1])


def test_codes_do_not_depend_on_the_rows_the_encoder_was_fitted_on() -> None:
    data = shops().data
    one_shop, two_shops = design(sales(3).assign(shop="south"), data), design(sales(50), data)
    first, second = (encoder(data).fit(rows).transform(two_shops) for rows in (one_shop, two_shops))
    pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(second))
