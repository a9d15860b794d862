from dataclasses import replace

import pytest

from tests.support.builders import shipped
from trimtab.contracts import Check, Comparison
from trimtab.evaluate.gate import judge

GATE = shipped().gate.model_copy(update={"min_gain": 0.0})
CLEAR = Comparison(
    metric="log_loss",
    rows=1000,
    blocks=14,
    champion_loss=0.52,
    challenger_loss=0.50,
    gain=0.02,
    lower=0.01,
    upper=0.03,
    error=0.0093,
)
BOTH_SIDES = replace(CLEAR, lower=-0.01)
SLICE = Check(name="slice origin=JFK", passed=False, value=-0.02, limit=-0.01, sentence="on JFK it loses")


def verdict(comparison: Comparison, *checks: Check, look: int = 1, **changes: object) -> tuple[str, str]:
    return judge(comparison, checks, GATE.model_copy(update=changes), look=look, champion="version 3")


def test_a_clear_gain_promotes_and_says_why() -> None:
    assert verdict(CLEAR) == (
        "PROMOTE",
        "PROMOTE: the challenger loses 0.0200 log_loss less per row than version 3 (0.5000 against 0.5200; gain "
        "+0.0100 to +0.0300 over 14 blocks, look 1 of 4, which may err in 0.9%): the whole interval lies above "
        "gate.min_gain (0)",
    )


def test_a_loss_rejects() -> None:
    kind, reason = verdict(replace(CLEAR, gain=-0.02, lower=-0.03, upper=-0.01))
    assert kind == "REJECT"
    assert "loses 0.0200 log_loss more per row" in reason


def test_an_interval_on_both_sides_holds_while_looks_are_left_and_then_rejects() -> None:
    assert [verdict(BOTH_SIDES, look=look)[0] for look in (1, 3, 4)] == ["HOLD", "HOLD", "REJECT"]


def test_equal_predictions_are_rejected() -> None:
    assert verdict(replace(CLEAR, gain=0.0, lower=0.0, upper=0.0))[0] == "REJECT"


@pytest.mark.parametrize(("lower", "kind"), [(0.015, "HOLD"), (0.0151, "PROMOTE")])
def test_the_boundary_itself_does_not_promote(lower: float, kind: str) -> None:
    assert verdict(replace(CLEAR, lower=lower), min_gain=0.015)[0] == kind


@pytest.mark.parametrize(
    ("lower", "upper", "kind"),
    [(-0.0019, 0.01, "PROMOTE"), (-0.002, 0.01, "HOLD"), (-0.01, -0.002, "REJECT")],
)
def test_a_negative_min_gain_is_a_margin_of_non_inferiority(lower: float, upper: float, kind: str) -> None:
    assert verdict(replace(CLEAR, lower=lower, upper=upper), min_gain=-0.002)[0] == kind


def test_too_few_blocks_hold_however_large_the_gain() -> None:
    few = replace(CLEAR, blocks=GATE.min_blocks - 1, gain=5.0, lower=4.0, upper=6.0)
    kind, reason = verdict(few)
    assert kind == "HOLD"
    assert reason.endswith("fewer blocks than the 7 of gate.min_blocks")
    assert verdict(few, look=GATE.looks)[0] == "REJECT"


def test_a_failed_check_bars_a_gain_and_gives_the_sentence() -> None:
    kind, reason = verdict(CLEAR, replace(SLICE, passed=True), SLICE)
    assert kind == "HOLD"
    assert reason.endswith("the gain is there, but on JFK it loses")
    assert verdict(CLEAR, SLICE, look=GATE.looks)[0] == "REJECT"


def test_checks_that_hold_bar_nothing() -> None:
    assert verdict(CLEAR, replace(SLICE, passed=True))[0] == "PROMOTE"


def test_a_person_is_asked_before_a_promotion_when_that_is_wanted() -> None:
    assert verdict(CLEAR, ask="promotion")[0] == "ASK"
    assert verdict(BOTH_SIDES, ask="promotion")[0] == "HOLD"
    assert verdict(BOTH_SIDES, ask="promotion", look=4)[0] == "REJECT"


@pytest.mark.parametrize(
    ("comparison", "look", "kind"),
    [
        (BOTH_SIDES, 4, "ASK"),
        (BOTH_SIDES, 3, "HOLD"),
        (replace(BOTH_SIDES, gain=0.0), 4, "REJECT"),
        (replace(BOTH_SIDES, blocks=3), 4, "REJECT"),
        (CLEAR, 4, "PROMOTE"),
    ],
)
def test_a_person_is_asked_about_a_gain_that_the_last_look_could_not_prove(comparison, look, kind) -> None:
    assert verdict(comparison, ask="unsure", look=look)[0] == kind


def test_bounds_that_are_none_are_said_in_words() -> None:
    assert (
        "gain unbounded to unbounded over 1 blocks"
        in verdict(replace(CLEAR, blocks=1, lower=-1e300, upper=1e300))[1]
    )


def test_all_that_fails_is_named() -> None:
    other = replace(SLICE, name="size", sentence="it is too big")
    assert verdict(CLEAR, SLICE, other)[1].endswith(": the gain is there, but on JFK it loses; it is too big")


def test_no_gain_at_all_is_not_called_a_loss() -> None:
    assert "loses 0.0000 log_loss less per row" in verdict(replace(BOTH_SIDES, gain=0.0))[1]


def test_just_enough_blocks_are_enough_to_ask() -> None:
    least = replace(BOTH_SIDES, blocks=GATE.min_blocks)
    assert verdict(least, look=GATE.looks, ask="unsure")[0] == "ASK"
    assert verdict(replace(least, blocks=GATE.min_blocks - 1), look=GATE.looks, ask="unsure")[0] == "REJECT"
