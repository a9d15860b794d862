from dataclasses import replace

import pytest

from tests.unit.builders import MONDAY, shipped
from trimtab.contracts import BatchRef, Comparison
from trimtab.evaluate.gate import judge

GATE = shipped().gate
CLEAR = Comparison(
    metric="log_loss",
    rows=1000,
    blocks=14,
    champion_loss=0.52,
    challenger_loss=0.50,
    gain=0.02,
    lower=0.01,
    upper=0.03,
    confidence=0.95,
)


def verdict(comparison: Comparison, gate=GATE):
    return judge(
        comparison,
        gate,
        judged_on=[BatchRef(batch="W1", revision=1)],
        champion="version 3",
        challenger_scores=[],
        champion_scores=[],
        cutoff=MONDAY,
    )


def test_a_clear_gain_promotes_and_says_why() -> None:
    found = verdict(CLEAR)
    assert found.kind == "PROMOTE"
    assert found.reason == (
        "PROMOTE: the challenger loses 0.0200 log_loss less per row than version 3 (0.5000 against 0.5200; gain "
        "+0.0100 to +0.0300 at 95% over 14 blocks): the whole interval lies above gate.min_gain (0)"
    )


def test_a_loss_rejects() -> None:
    found = verdict(replace(CLEAR, gain=-0.02, lower=-0.03, upper=-0.01))
    assert found.kind == "REJECT"
    assert "loses 0.0200 log_loss more per row" in found.reason


def test_an_interval_on_both_sides_holds() -> None:
    assert verdict(replace(CLEAR, lower=-0.01)).kind == "HOLD"


def test_equal_predictions_are_rejected() -> None:
    assert verdict(replace(CLEAR, gain=0.0, lower=0.0, upper=0.0)).kind == "REJECT"


@pytest.mark.parametrize(("lower", "kind"), [(0.015, "HOLD"), (0.0151, "PROMOTE")])
def test_the_boundary_itself_does_not_promote(lower: float, kind: str) -> None:
    strict = GATE.model_copy(update={"min_gain": 0.015})
    assert verdict(replace(CLEAR, lower=lower), strict).kind == kind


def test_too_few_blocks_hold_however_large_the_gain() -> None:
    found = verdict(replace(CLEAR, blocks=GATE.min_blocks - 1, gain=5.0, lower=4.0, upper=6.0))
    assert found.kind == "HOLD"
    assert found.reason.endswith("fewer blocks than the 7 of gate.min_blocks")
