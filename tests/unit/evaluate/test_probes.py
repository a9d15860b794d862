import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import CLASSES, VALUE, shipped
from trimtab import params
from trimtab.errors import GateDead
from trimtab.evaluate import probes

SOUND = {"bad": "REJECT", "broken": "REJECT", "good": "DEPLOY"}
MANY = CLASSES.model_copy(update={"classes": [f"class {number}" for number in range(12)]})


def gated(label: params.Label | None = None, **gate: object) -> params.Params:
    """The shipped parameters with another gate and label; values that no `params.yaml` could hold are possible."""
    parameters = shipped()
    return parameters.model_copy(
        update={
            "gate": parameters.gate.model_copy(update=gate),
            "data": parameters.data.model_copy(update={"label": label or parameters.data.label}),
        }
    )


def test_the_shipped_guard_is_alive() -> None:
    assert probes.run(shipped()) == SOUND


ANY_GATE = st.fixed_dictionaries(
    {
        "min_blocks": st.integers(2, 40),
        "error": st.floats(1e-6, 0.499),
        "batch_correlation": st.floats(0, 1),
        "max_calibration_excess": st.floats(0, 1),
    }
)


@given(
    st.sampled_from(["log_loss", "brier"]),
    st.sampled_from([params.Binary(kind="binary"), CLASSES, MANY]),
    ANY_GATE,
)
def test_a_guard_of_any_setting_is_alive(metric: str, label: params.Label, gate: dict[str, object]) -> None:
    assert probes.run(gated(label, metric=metric, **gate)) == SOUND


@given(
    st.sampled_from(["squared_error", "absolute_error"]), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), ANY_GATE
)
def test_a_guard_over_values_is_alive_in_any_unit(
    metric: str, low: float, span: float, gate: dict[str, object]
) -> None:
    label = params.Regression(kind="regression", min=low, max=low + span)
    assert probes.run(gated(label, metric=metric, **gate)) == SOUND


@pytest.mark.parametrize(
    ("gate", "got"),
    [
        ({"max_calibration_excess": -1.0}, "bad: REJECT, broken: REJECT, good: REJECT"),
        (
            {"max_calibration_excess": 1.0, "batch_correlation": float("nan")},
            "bad: DEPLOY, broken: REJECT, good: DEPLOY",
        ),
    ],
    ids=["stops all", "lets a bad model pass"],
)
def test_a_guard_that_tells_no_model_from_another_is_dead(gate: dict[str, object], got: str) -> None:
    with pytest.raises(GateDead) as caught:
        probes.run(gated(**gate))
    assert (
        f"expected its probes to be judged bad: REJECT, broken: REJECT, good: DEPLOY, got {got}. Nothing was deployed"
    ) in str(caught.value)


def test_the_probes_of_a_regression_answer_between_the_ends_of_its_range() -> None:
    truths = probes._truths(VALUE, 4)
    assert truths.tolist() == [0.0, 100.0, 0.0, 100.0]
    assert probes._answers(VALUE, truths[:2], 0.99).tolist() == pytest.approx([1.0, 99.0])
    assert probes._answers(VALUE, truths[:2], 0.01).tolist() == pytest.approx([99.0, 1.0])


def test_the_probes_of_several_classes_share_out_what_is_left() -> None:
    truths = probes._truths(CLASSES, 4)
    assert truths.tolist() == [0, 1, 2, 0]
    assert probes._answers(CLASSES, truths, 0.5)[1].tolist() == [0.25, 0.5, 0.25]
    assert np.allclose(probes._answers(MANY, probes._truths(MANY, 12), 0.01).sum(axis=1), 1)
