"""The race and the newest recipe on the Model health page."""

from pathlib import Path

import pytest

from tests.support import year
from tests.support.builders import shipped
from trimtab.params import Params
from trimtab.views.health import read
from trimtab.views.page.html import page
from trimtab.views.page.view import Race

ENTRY = 15
"""The week after which the second recipe enters."""
OF_BOTH = ["all", "newest 8", "all, recipe 2", "newest 8, recipe 2"]


def changed() -> Params:
    """The shipped parameters with another setting of the estimator."""
    model = shipped().model
    settings = {**model.settings, "max_iter": 120}
    return shipped().model_copy(update={"model": model.model_copy(update={"settings": settings})})


def tried(folder: Path, weeks: int, gain: float) -> year.Year:
    """A year in which a recipe with this gain entered, and so many weeks passed."""
    written = year.played(folder, ENTRY + 1)
    written.enter(ENTRY, changed(), gain)
    written.play(ENTRY + 1 + weeks, ENTRY + 1)
    return written


def race_of(written: year.Year) -> Race:
    return read(written.ledger, written.params, 26).race


def names(race: Race) -> list[str]:
    return [each.name for each in race.candidates]


def test_without_a_second_recipe_there_is_none_to_tell_of(tmp_path: Path) -> None:
    race = race_of(year.played(tmp_path, 12))
    assert (race.recipe, race.state, race.batch) == (None, (), year.name(11))
    assert [(each.shadow.training.rows, each.shadow.training.seconds) for each in race.candidates] == [
        (72_000, 2.5),
        (48_000, 2.5),
    ]
    assert race.seconds == 5.0


def test_a_recipe_on_trial_has_candidates_scores_and_what_is_missing_for_a_proof(tmp_path: Path) -> None:
    entered = tried(tmp_path, 0, 0.0006)
    after_the_fact = race_of(entered)
    assert names(after_the_fact) == OF_BOTH
    assert all(each.score is not None for each in after_the_fact.candidates)
    assert after_the_fact.state[1].startswith(
        "all, recipe 2: 6 of 10 batches, its models lose 0.0004 log loss less"
    )
    entered.play(ENTRY + 3, ENTRY + 1)
    race = race_of(entered)
    assert names(race) == OF_BOTH and race.seconds == 10.0
    assert race.state == (
        "Recipe 2 is on trial against all, which leads.",
        "all, recipe 2: 8 of 10 batches, its models lose 0.0005 log loss less per row than the leader's (a proof at this "
        "look takes at least 0.0007 less).",
        "newest 8, recipe 2: 8 of 10 batches, its models lose 0.0027 log loss more per row than the leader's (a proof at "
        "this look takes at least 0.0007 less).",
    )
    text = page(read(entered.ledger, entered.params, 26), nonce="n", mlflow=None)
    assert "model.settings.max_iter: 60 -&gt; 120" in text and race.recipe.commit[:10] in text
    assert "10.0 s in all, after each batch" in text


@pytest.mark.parametrize(
    ("weeks", "gain", "candidates", "state"),
    [
        (
            0,
            0.004,
            OF_BOTH,
            "all, recipe 2: 6 of 10 batches, better beyond doubt; it leads from the next batch on.",
        ),
        (1, 0.004, OF_BOTH[2:], "Recipe 2 leads."),
        (4, -0.002, OF_BOTH[:2], "Recipe 2 is out: it was not better beyond doubt within 10 batches."),
    ],
)
def test_a_trial_ends_with_the_lead_or_without(
    weeks: int, gain: float, candidates: list[str], state: str, tmp_path: Path
) -> None:
    race = race_of(tried(tmp_path, weeks, gain))
    assert names(race) == candidates
    assert any(sentence.startswith(state) for sentence in race.state), race.state


def test_a_recipe_that_was_taken_back_is_out_and_can_be_adopted(tmp_path: Path) -> None:
    written = tried(tmp_path, 1, 0.0006)
    (state,) = read(written.ledger, shipped(), 26).race.state
    assert state.startswith("Recipe 2 is out: it is no longer that of params.yaml. ")
    assert 'trimtab model adopt 2 --reason "…"' in state


def test_a_comparison_that_cannot_be_made_yet_says_when(tmp_path: Path) -> None:
    written = tried(tmp_path, 1, 0.0006)
    race = written.params.race.model_copy(update={"batches": 8})
    assert read(written.ledger, written.params.model_copy(update={"race": race}), 26).race.state[1] == (
        "all, recipe 2: 7 of 10 batches, compared for the first time after 8."
    )
    gate = written.params.gate.model_copy(update={"min_blocks": 60})
    assert read(written.ledger, written.params.model_copy(update={"gate": gate}), 26).race.state[1] == (
        "all, recipe 2: 7 of 10 batches, with 49 of at least 60 blocks of time."
    )
