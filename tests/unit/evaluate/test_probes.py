import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import BINARY, CLASSES, VALUE, shipped
from trimtab.errors import GateDead
from trimtab.evaluate import probes

GATE = shipped().gate.model_copy(update={"min_gain": 0.0})
MANY = CLASSES.model_copy(update={"classes": [f"class {number}" for number in range(12)]})


def test_the_shipped_gate_is_alive() -> None:
    assert probes.run(GATE, BINARY) == {"bad": "REJECT", "edge": "HOLD", "good": "PROMOTE"}


@given(
    st.sampled_from(["log_loss", "brier"]),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(2, 40),
    st.floats(0.01, 0.3),
    st.floats(-0.05, 0.05),
    st.integers(1, 48),
)
def test_a_gate_of_any_setting_is_alive(metric, first, looks, blocks, error, gain, hours) -> None:
    changes = {"metric": metric, "judge_batches": first, "looks": looks, "min_blocks": blocks, "error": error}
    gate = GATE.model_copy(update=changes | {"min_gain": gain, "block_hours": hours, "ask": "promotion"})
    results = probes.run(gate, BINARY)
    assert (results["bad"], results["good"]) == ("REJECT", "PROMOTE")
    assert results["edge"] != "PROMOTE"


def test_a_gain_that_no_model_could_show_is_a_dead_gate() -> None:
    with pytest.raises(
        GateDead, match="The gate is dead: expected .* got bad: REJECT, edge: HOLD, good: REJECT"
    ):
        probes.run(GATE.model_copy(update={"min_gain": 0.9}), BINARY)


@pytest.mark.parametrize(
    ("place", "broken"),
    [
        ("weigh", lambda *args, **more: probes_weighed("PROMOTE")),
        ("weigh", lambda *args, **more: probes_weighed("HOLD")),
        ("weigh", lambda *args, **more: probes_weighed("REJECT")),
        ("weigh", lambda *args, **more: weighed_by_the_estimate(*args, **more)),
        ("row_losses", lambda metric, *rest: -REAL_LOSSES(metric, *rest)),
    ],
    ids=["lets all pass", "holds all", "rejects all", "lets the edge pass", "metric turned round"],
)
def test_a_gate_that_does_not_judge_is_dead(monkeypatch: pytest.MonkeyPatch, place: str, broken) -> None:
    monkeypatch.setattr(probes, place, broken)
    with pytest.raises(GateDead):
        probes.run(GATE, BINARY)


REAL_LOSSES = probes.row_losses


def weighed_by_the_estimate(blocks, checks, gate, *, look: int, champion: str):
    from trimtab.evaluate.compare import paired

    gain = paired(blocks, gate, error=gate.error).gain
    return probes_weighed("PROMOTE" if gain > gate.min_gain - 1e-9 else "REJECT")


def probes_weighed(kind: str):
    from trimtab.evaluate.compare import paired
    from trimtab.evaluate.gate import Weighed

    return Weighed(kind=kind, reason="", comparison=paired((), GATE, error=0.1))


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
@pytest.mark.parametrize(
    ("first", "blocks", "batches", "each"), [(1, 7, 2, 8), (2, 40, 2, 20), (3, 27, 3, 10)]
)
def test_the_probes_are_judged_on_what_their_names_say(
    monkeypatch: pytest.MonkeyPatch, metric: str, first: int, blocks: int, batches: int, each: int
) -> None:
    """What goes to the gate, block by block: a change of the probes must not pass for a change of the gate."""
    seen, real = [], probes.weigh

    def spy(*args, **more):
        seen.append((args, more))
        return real(*args, **more)

    monkeypatch.setattr(probes, "weigh", spy)
    changes = {
        "metric": metric,
        "judge_batches": first,
        "min_blocks": blocks,
        "ask": "promotion",
        "min_gain": 0.003,
    }
    gate = GATE.model_copy(update=changes)
    probes.run(gate, BINARY)
    loss = {"log_loss": lambda chance: -math.log(chance), "brier": lambda chance: (1 - chance) ** 2}[metric]
    expected = {"bad": loss(0.01), "edge": loss(0.55) - 0.003, "good": loss(0.99)}
    for ((judged, checks, used), more), (name, challenger) in zip(seen, expected.items(), strict=True):
        assert (checks, used.ask, more["look"]) == ((), "never", 1)
        assert more["champion"] == "the probes' champion"
        assert [block.batch for block in judged] == [
            f"probe-{batch}" for batch in range(batches) for _ in range(each)
        ]
        assert {block.rows for block in judged} == {20}
        assert all(block.champion == pytest.approx(20 * loss(0.55)) for block in judged)
        noise = [block.challenger / 20 - challenger for block in judged]
        size = 0.01 * loss(0.55) if name == "edge" else 0.0
        assert noise == pytest.approx([size, -size] * (len(judged) // 2))


@given(
    st.sampled_from([("log_loss", CLASSES), ("brier", CLASSES), ("log_loss", MANY), ("brier", MANY)]),
    st.floats(-0.05, 0.05),
    st.integers(2, 40),
)
def test_a_gate_over_classes_is_alive(kind, gain: float, blocks: int) -> None:
    metric, label = kind
    gate = GATE.model_copy(update={"metric": metric, "min_gain": gain, "min_blocks": blocks})
    results = probes.run(gate, label)
    assert (results["bad"], results["good"]) == ("REJECT", "PROMOTE")
    assert results["edge"] != "PROMOTE"


@given(
    st.sampled_from(["squared_error", "absolute_error"]),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.floats(-0.1, 0.1),
)
def test_a_gate_over_values_is_alive_in_any_unit(metric: str, low: float, span: float, share: float) -> None:
    label = VALUE.model_copy(update={"min": low, "max": low + span})
    margin = share * (label.max - label.min) ** (2 if metric == "squared_error" else 1)
    results = probes.run(GATE.model_copy(update={"metric": metric, "min_gain": margin}), label)
    assert (results["bad"], results["good"]) == ("REJECT", "PROMOTE")
    assert results["edge"] != "PROMOTE"


def test_the_probes_of_a_regression_answer_between_the_ends_of_its_range() -> None:
    assert probes._truths(VALUE, 4).tolist() == [0.0, 100.0, 0.0, 100.0]
    assert probes._answers(VALUE, probes._truths(VALUE, 2), 0.99).tolist() == pytest.approx([1.0, 99.0])
    assert probes._answers(VALUE, probes._truths(VALUE, 2), 0.01).tolist() == pytest.approx([99.0, 1.0])


def test_the_probes_of_several_classes_share_out_what_is_left() -> None:
    truths = probes._truths(CLASSES, 4)
    assert truths.tolist() == [0, 1, 2, 0]
    assert probes._answers(CLASSES, truths, 0.5)[1].tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize("label", [CLASSES, VALUE], ids=["classes", "value"])
def test_the_probes_are_of_the_kind_of_the_label(monkeypatch: pytest.MonkeyPatch, label) -> None:
    seen, metric = [], "brier" if label is CLASSES else "squared_error"

    def spy(metric, label, truths, answers):
        seen.append(sorted(set(truths)))
        return REAL_LOSSES(metric, label, truths, answers)

    monkeypatch.setattr(probes, "row_losses", spy)
    probes.run(GATE.model_copy(update={"metric": metric}), label)
    assert seen == [[0.0, 1.0, 2.0] if label is CLASSES else [0.0, 100.0]] * 3
