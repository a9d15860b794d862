import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.evaluate.looks import error_of


@given(st.integers(1, 8), st.integers(0, 9), st.floats(0.001, 0.4))
def test_all_looks_together_spend_the_error_and_no_more(first: int, more: int, error: float) -> None:
    last = first + more
    shares = [error_of(batches, first=first, last=last, error=error) for batches in range(first, last + 1)]
    assert sum(shares) == pytest.approx(error)
    assert all(share > 0 for share in shares)


def test_the_first_look_spends_least() -> None:
    shares = [error_of(batches, first=1, last=4, error=0.05) for batches in range(1, 5)]
    assert shares[0] == min(shares) < 0.001
