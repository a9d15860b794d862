"""No batch both trains and judges, and none judges the same challenger twice."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import Block, Comparison, Manifest, ModelVersion, Verdict
from trimtab.errors import NotEnoughBatches
from trimtab.trigger.planning import make_look, make_plan

WEEK = timedelta(weeks=1)


def manifest(number: int, labelled: int = 10) -> Manifest:
    return Manifest(
        model="m",
        batch=f"W{number}",
        revision=1,
        start=MONDAY + number * WEEK,
        end=MONDAY + (number + 1) * WEEK,
        partial=False,
        rows=10,
        labelled=labelled,
        bad_rows=0,
        unseen={},
        source_sha256="ab",
    )


CHALLENGER = ModelVersion(version="4", run_id="r", source="s", digest="d", trained_through=MONDAY + 4 * WEEK)


def verdict(*judged: int) -> Verdict:
    blocks = tuple(
        Block(batch=f"W{number}", number=0, rows=1, champion=0.0, challenger=0.0) for number in judged
    )
    comparison = Comparison(
        metric="log_loss",
        rows=1,
        blocks=1,
        champion_loss=0.0,
        challenger_loss=0.0,
        gain=0.0,
        lower=0.0,
        upper=0.0,
        error=0.1,
    )
    return Verdict(
        kind="HOLD",
        reason="",
        look=1,
        comparison=comparison,
        blocks=blocks,
        checks=(),
        probes={},
        judged_on=(),
        champion="version 1",
        challenger_scores=(),
        champion_scores=(),
        cutoff=MONDAY,
    )


def look(manifests: list[Manifest], before: Verdict):
    return make_look(
        params=shipped(),
        commit="c",
        manifests=manifests,
        champion=None,
        challenger=CHALLENGER,
        before=before,
        decision="m-1",
    )


@given(count=st.integers(3, 20), judge=st.integers(1, 5), window=st.none() | st.integers(1, 5))
def test_what_trains_does_not_judge(count: int, judge: int, window: int | None) -> None:
    parameters = shipped()
    parameters = parameters.model_copy(
        update={"gate": parameters.gate.model_copy(update={"judge_batches": judge})}
    )
    made = [manifest(number) for number in range(count)]
    try:
        plan = make_plan(params=parameters, commit="c", manifests=made, champion=None, window_batches=window)
    except NotEnoughBatches:
        assert count <= judge
        return
    assert not {ref.batch for ref in plan.train} & {ref.batch for ref in plan.judge}
    assert [ref.batch for ref in plan.judge] == [f"W{number}" for number in range(count - judge, count)]
    assert plan.cutoff == made[-1].end


@given(new=st.integers(1, 5))
def test_a_later_look_judges_only_what_no_look_has_seen(new: int) -> None:
    plan = look([manifest(number) for number in range(6 + new)], verdict(4, 5))
    judged = [ref.batch for ref in plan.judge]
    assert judged == [f"W{number}" for number in range(6, 6 + new)]
    assert not set(judged) & {block.batch for block in plan.judged}
    assert not set(judged) & {ref.batch for ref in plan.train}
    assert [ref.batch for ref in plan.train] == [f"W{number}" for number in range(6)]
    assert (plan.look, plan.challenger) == (2, CHALLENGER)


def test_a_look_without_new_labels_is_refused() -> None:
    with pytest.raises(NotEnoughBatches, match="The next look at a challenger"):
        look([manifest(number) for number in range(6)] + [manifest(6, labelled=0)], verdict(4, 5))


def test_a_batch_from_before_the_last_look_that_came_late_trains_and_does_not_judge() -> None:
    late = [manifest(number) for number in (0, 1, 2, 3, 4, 5, 6)]
    plan = look(late, verdict(5))
    assert [ref.batch for ref in plan.judge] == ["W6"]
    corrected = [replace(batch, revision=2) if batch.batch == "W5" else batch for batch in late]
    assert [ref.batch for ref in look(corrected, verdict(5)).judge] == ["W6"]


def test_batches_without_enough_labels_neither_train_nor_judge() -> None:
    manifests = [manifest(number, labelled=0 if number in (2, 5) else 10) for number in range(6)]
    plan = make_plan(params=shipped(), commit="c", manifests=manifests, champion=None)
    assert [ref.batch for ref in plan.judge] == ["W3", "W4"]
    assert [ref.batch for ref in plan.train] == ["W0", "W1"]
    assert plan.cutoff == manifests[5].end
