"""The record of a loop: for each labelled batch, the scores of models that were not trained on it.

All decisions are pure functions of the record and of the parameters. A *candidate* is a way to fit a model (a recipe with a
training window). Its *shadow* on a batch is the model that it fitted through the batch before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trimtab.contracts import Block, BlockLoss, Examined, Score
from trimtab.params import Params

BASELINE = "baseline"
"""Name under which the scores of the baseline stand in the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredBatch:
    """The scores of all models on one labelled batch.

    Args:
        batch: Id of the batch.
        scores: By model. The baseline is `BASELINE`.
        shadows: For each candidate, the model that it fitted through the batch before. A shadow whose training failed is
            missing, and so is one without a score on this batch.
        newest: For each candidate, the model that it fitted through this batch, which a deployment would take.
        examined: What the checks need to know of each candidate's newest model besides its scores.
        failed: Why a model has no score on this batch.
        champion: The model that was in Production when the batch was measured, None if there was none or nobody needs it.
    """

    batch: str
    scores: Mapping[str, Score]
    shadows: Mapping[str, str]
    newest: Mapping[str, str] = field(default_factory=dict)
    examined: Mapping[str, Examined] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    champion: str | None = None


Record = Sequence[ScoredBatch]
"""One per labelled batch, oldest first."""
Pick = Callable[[ScoredBatch], str | None]
"""Names one model of a scored batch."""


def candidate_name(window: str, recipe: int) -> str:
    """Return the name of the candidate that fits a recipe, by its number, on a training window.

    >>> candidate_name("newest 8", 1), candidate_name("newest 8", 2)
    ('newest 8', 'newest 8, recipe 2')
    """
    return window if recipe == 1 else f"{window}{_RECIPE}{recipe}"


def candidates_of(recipe: int, params: Params) -> dict[str, int | None]:
    """Return the training windows by the names of a recipe's candidates, in the order of `train.windows`."""
    return {candidate_name(window, recipe): batches for window, batches in params.train.candidates.items()}


def recipe_number(candidate: str) -> int:
    """Return the number of a candidate's recipe.

    >>> recipe_number("newest 8, recipe 2"), recipe_number("newest 8")
    (2, 1)
    """
    _, _, number = candidate.partition(_RECIPE)
    return int(number or 1)


_RECIPE = ", recipe "


def model(name: str) -> Pick:
    """Pick the same model on every batch."""
    return lambda scored: name


def shadow(candidate: str) -> Pick:
    """Pick the shadow of a candidate."""
    return lambda scored: scored.shadows.get(candidate)


def in_production(scored: ScoredBatch) -> str | None:
    """Pick the model that was in Production."""
    return scored.champion


def scores_of(record: Record, pick: Pick) -> dict[str, Score]:
    """Return the scores of the picked model, by batch; batches on which it has none are left out."""
    scores = ((scored.batch, _score(scored, pick)) for scored in record)
    return {batch: score for batch, score in scores if score is not None}


def comparable(record: Record, champion: Pick, challenger: Pick) -> list[ScoredBatch]:
    """Return the batches on which both models have a score by the same metric on the same rows, and are not the same model.

    Two names of one model would always tie, which says nothing about either.
    """
    return [
        scored
        for scored in record
        if (ours := _score(scored, champion)) is not None
        and (theirs := _score(scored, challenger)) is not None
        and ours.metric == theirs.metric
        and _rows(ours) == _rows(theirs)
        and champion(scored) != challenger(scored)
    ]


def blocks(record: Record, champion: Pick, challenger: Pick, *, part: str | None = None) -> tuple[Block, ...]:
    """Return the losses of both models by block of time, for `trimtab.evaluate.compare.paired`.

    Args:
        record: Batches that are not `comparable` are left out.
        champion: Whose loss stands in `Block.champion`.
        challenger: Whose loss stands in `Block.challenger`.
        part: A slice (`feature=value`), or None for all rows.
    """
    return tuple(
        Block(
            batch=scored.batch,
            number=ours.number,
            rows=ours.rows,
            champion=ours.loss,
            challenger=theirs.loss,
        )
        for scored in comparable(record, champion, challenger)
        for ours, theirs in zip(
            _blocks(scored, champion, part), _blocks(scored, challenger, part), strict=True
        )
    )


def _score(scored: ScoredBatch, pick: Pick) -> Score | None:
    return scored.scores.get(pick(scored) or "")


def _rows(score: Score) -> list[tuple[int, int]]:
    return [(block.number, block.rows) for block in score.blocks]


def _blocks(scored: ScoredBatch, pick: Pick, part: str | None) -> tuple[BlockLoss, ...]:
    score = scored.scores[pick(scored) or ""]
    return score.blocks if part is None else score.slices.get(part, ())
