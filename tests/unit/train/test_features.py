import numpy as np
import pandas as pd

from tests.support.builders import sales, shops
from trimtab.train.features import design, encoder


def test_features_come_in_the_order_of_the_parameters() -> None:
    assert list(design(sales(3), shops().data).columns) == ["shop", "price", "noise"]


def test_an_undeclared_category_is_missing() -> None:
    frame = sales(3).assign(shop=["north", "west", None])
    assert design(frame, shops().data)["shop"].isna().tolist() == [False, True, True]


def test_the_original_rows_stay_as_they_are() -> None:
    frame = sales(3).assign(shop=["north", "west", None])
    design(frame, shops().data)
    assert frame["shop"].tolist() == ["north", "west", None]


def test_codes_follow_the_declared_order_and_unknown_is_nan() -> None:
    frame = sales(3).assign(shop=["south", "north", "west"], price=[1.0, 2.0, np.nan])
    coded = encoder(shops().data).fit_transform(design(frame, shops().data))
    assert coded[:2, 0].tolist() == [1.0, 0.0]
    assert np.isnan(coded[2, 0])
    assert np.isnan(coded[2, 1])


def test_codes_do_not_depend_on_the_rows_that_were_fitted() -> None:
    wanted = shops().data
    only_south = design(sales(3).assign(shop="south"), wanted)
    both = design(sales(50), wanted)
    first, second = encoder(wanted).fit(only_south), encoder(wanted).fit(both)
    pd.testing.assert_frame_equal(pd.DataFrame(first.transform(both)), pd.DataFrame(second.transform(both)))
