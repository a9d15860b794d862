"""What one run of the MLflow Project reads, fits and scores."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import MONDAY, shipped
from trimtab.contracts import Candidate, Fit, Manifest, ModelVersion, Plan, TrainedModel
from trimtab.errors import NotEnoughBatches
from trimtab.trigger.planning import (
    plan_backfill,
    plan_batch,
    read_champion,
    read_run,
    write_champion,
    write_run,
)

WEEK = timedelta(weeks=1)
BOTH = [Candidate(name="all", window=None), Candidate(name="newest 8", window=8)]
NEW = Candidate(name="newest 3", window=3)
MODEL = TrainedModel(run_id="r", source="s", digest="d", trained_through=MONDAY + 4 * WEEK)
CHAMPION = ModelVersion(version="4", run_id="r", source="s", digest="d", trained_through=MONDAY)


def manifest(number: int, labelled: int = 10) -> Manifest:
    return Manifest(
        model="m",
        batch=f"W{number}",
        revision=1 + number % 2,
        start=MONDAY + number * WEEK,
        end=MONDAY + (number + 1) * WEEK,
        partial=False,
        rows=10,
        labelled=labelled,
        bad_rows=0,
        unseen={},
        source_sha256="ab",
    )


def weeks(count: int, *, unlabelled: Sequence[int] = ()) -> list[Manifest]:
    return [manifest(number, 0 if number in unlabelled else 10) for number in range(count)]


def batch_plan(manifests: Sequence[Manifest], batch: str, models: Sequence[TrainedModel] = (MODEL,)) -> Plan:
    return plan_batch(
        params=shipped(),
        commit="c",
        manifests=manifests,
        batch=batch,
        models=models,
        shadows={"all": "r"},
        candidates=BOTH,
    )


def backfill(manifests: Sequence[Manifest]) -> Plan:
    return plan_backfill(params=shipped(), commit="c", manifests=manifests, candidates=[NEW], decision="m-1")


def test_a_batch_is_scored_and_the_candidates_are_fitted_through_it() -> None:
    plan = batch_plan(weeks(6), "W5")
    assert (plan.scored, plan.models, plan.shadows) == (("W5",), (MODEL,), {"all": "r"})
    assert plan.fits == (
        Fit(candidate="all", through="W5", window=None),
        Fit(candidate="newest 8", through="W5", window=8),
    )
    assert [(ref.batch, ref.revision) for ref in plan.batches][-2:] == [("W4", 1), ("W5", 2)]


def test_batches_after_the_measured_one_are_not_read_but_labels_known_by_now_are() -> None:
    plan = batch_plan(weeks(6), "W3")
    assert [ref.batch for ref in plan.batches] == ["W0", "W1", "W2", "W3"]
    assert plan.cutoff == MONDAY + 6 * WEEK


def test_batches_without_enough_labels_are_not_read() -> None:
    plan = batch_plan(list(reversed(weeks(6, unlabelled=[1, 5]))), "W4")
    assert [ref.batch for ref in plan.batches] == ["W0", "W2", "W3", "W4"]


def test_before_there_are_models_nothing_is_scored() -> None:
    assert batch_plan(weeks(6), "W5", models=()).scored == ()


def test_a_candidate_is_backfilled_through_the_newest_batches() -> None:
    plan = backfill(weeks(9))
    assert plan.scored == ("W3", "W4", "W5", "W6", "W7", "W8")
    assert [fit.through for fit in plan.fits] == ["W2", "W3", "W4", "W5", "W6", "W7", "W8"]
    assert {(fit.candidate, fit.window) for fit in plan.fits} == {("newest 3", 3)}
    assert (len(plan.batches), plan.decision, plan.models) == (9, "m-1", ())


def test_a_candidate_that_enters_is_fitted_after_the_fact_beside_those_that_race() -> None:
    plan = plan_batch(
        params=shipped(),
        commit="c",
        manifests=weeks(9),
        batch="W7",
        models=[MODEL],
        candidates=BOTH[:1],
        entering=[NEW],
        decision="entry",
    )
    assert plan.scored == ("W2", "W3", "W4", "W5", "W6", "W7")
    through = {
        name: [fit.through for fit in plan.fits if fit.candidate == name] for name in ("all", "newest 3")
    }
    assert through == {"all": ["W7"], "newest 3": ["W1", "W2", "W3", "W4", "W5", "W6", "W7"]}
    assert (plan.decision, plan.batches[-1].batch) == ("entry", "W7")


@given(st.lists(st.booleans(), max_size=14).filter(lambda labels: sum(labels) >= 3))
def test_each_backfilled_batch_has_a_model_of_the_batches_before_it(labels: list[bool]) -> None:
    plan = backfill(weeks(len(labels), unlabelled=[place for place, has in enumerate(labels) if not has]))
    names = [ref.batch for ref in plan.batches]
    before = dict(zip(names[1:], names, strict=False))
    fitted = [fit.through for fit in plan.fits]
    assert len(plan.scored) == min(6, sum(labels) - 1)
    assert [before[batch] for batch in plan.scored] == fitted[:-1]
    assert fitted[-1] == plan.scored[-1] == names[-1]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_backfill_takes_three_labelled_batches(count: int) -> None:
    manifests = [*weeks(count), *(manifest(number, labelled=0) for number in range(count, count + 3))]
    with pytest.raises(NotEnoughBatches, match=f"needs 3 labelled batches, there are {count}"):
        backfill(manifests)


def test_equal_plans_are_equal_to_the_byte_and_read_as_they_were_written(tmp_path: Path) -> None:
    texts = []
    for manifests in (weeks(6), list(reversed(weeks(6)))):
        write_run(tmp_path / "run.yaml", batch_plan(manifests, "W5"))
        texts.append((tmp_path / "run.yaml").read_bytes())
    assert texts[0] == texts[1]
    assert read_run(tmp_path / "run.yaml") == batch_plan(weeks(6), "W5")


@pytest.mark.parametrize("champion", [CHAMPION, None])
def test_the_champion_is_read_as_it_was_written(tmp_path: Path, champion: ModelVersion | None) -> None:
    write_champion(tmp_path / "champion.yaml", champion)
    assert read_champion(tmp_path / "champion.yaml") == champion
