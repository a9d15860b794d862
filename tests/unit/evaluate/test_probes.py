import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import shipped
from trimtab.errors import GateDead
from trimtab.evaluate import probes

GATE = shipped().gate.model_copy(update={"min_gain": 0.0})


def test_the_shipped_gate_is_alive() -> None:
    assert probes.run(GATE) == {"bad": "REJECT", "edge": "HOLD", "good": "PROMOTE"}


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
    found = probes.run(gate)
    assert (found["bad"], found["good"]) == ("REJECT", "PROMOTE")
    assert found["edge"] != "PROMOTE"


def test_a_gain_that_no_model_could_show_is_a_dead_gate() -> None:
    with pytest.raises(
        GateDead, match="The gate is dead: expected .* got bad: REJECT, edge: HOLD, good: REJECT"
    ):
        probes.run(GATE.model_copy(update={"min_gain": 0.9}))


@pytest.mark.parametrize(
    ("place", "broken"),
    [
        ("weigh", lambda *args, **more: probes_weighed("PROMOTE")),
        ("weigh", lambda *args, **more: probes_weighed("HOLD")),
        ("weigh", lambda *args, **more: probes_weighed("REJECT")),
        ("row_losses", lambda metric, labels, chance: -REAL_LOSSES(metric, labels, chance)),
    ],
    ids=["lets all pass", "holds all", "rejects all", "metric turned round"],
)
def test_a_gate_that_does_not_judge_is_dead(monkeypatch: pytest.MonkeyPatch, place: str, broken) -> None:
    monkeypatch.setattr(probes, place, broken)
    with pytest.raises(GateDead):
        probes.run(GATE)


REAL_LOSSES = probes.row_losses


def probes_weighed(kind: str):
    from trimtab.evaluate.compare import paired
    from trimtab.evaluate.weigh import Weighed

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
    probes.run(gate)
    loss = {"log_loss": lambda chance: -math.log(chance), "brier": lambda chance: (1 - chance) ** 2}[metric]
    wanted = {"bad": loss(0.01), "edge": loss(0.55) - 0.003, "good": loss(0.99)}
    for ((judged, checks, used), more), (name, challenger) in zip(seen, wanted.items(), strict=True):
        assert (checks, used.ask, more["look"]) == ((), "never", 1)
        assert more["champion"] == "the probes' champion"
        assert [one.batch for one in judged] == [
            f"probe-{batch}" for batch in range(batches) for _ in range(each)
        ]
        assert {one.rows for one in judged} == {20}
        assert all(one.champion == pytest.approx(20 * loss(0.55)) for one in judged)
        noise = [one.challenger / 20 - challenger for one in judged]
        size = 0.01 if name == "edge" else 0.0
        assert noise == pytest.approx([size, -size] * (len(judged) // 2))
