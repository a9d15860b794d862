import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import ModelVersion
from trimtab.evaluate.looks import error_of, gate_for

GATE = shipped().gate.model_copy(update={"min_gain": 0.0})


@given(st.integers(1, 8), st.integers(1, 10), st.floats(0.001, 0.4))
def test_all_looks_together_spend_the_error_and_no_more(first: int, looks: int, error: float) -> None:
    gate = GATE.model_copy(update={"judge_batches": first, "looks": looks, "error": error})
    assert sum(error_of(look, gate) for look in range(1, looks + 1)) == pytest.approx(error)
    assert all(error_of(look, gate) > 0 for look in range(1, looks + 1))


def test_the_first_look_spends_least() -> None:
    shares = [error_of(look, GATE) for look in range(1, GATE.looks + 1)]
    assert shares[0] == min(shares)


def test_against_the_baseline_one_look_spends_it_all() -> None:
    assert error_of(1, gate_for(None, GATE)) == pytest.approx(GATE.error)


def test_the_baseline_must_be_beaten_whatever_the_margin() -> None:
    assert gate_for(None, GATE.model_copy(update={"min_gain": -0.01})).min_gain == 0.0
    assert gate_for(None, GATE.model_copy(update={"min_gain": 0.01})).min_gain == 0.01


def test_against_a_champion_the_gate_is_as_it_is() -> None:
    champion = ModelVersion(version="1", run_id="r", source="s", digest="d", trained_through=MONDAY)
    assert gate_for(champion, GATE) == GATE
