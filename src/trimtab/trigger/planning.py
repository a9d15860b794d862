"""Plans of the MLflow Project, and their canonical form `run.yaml`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from trimtab.contracts import Candidate, Fit, Manifest, ModelVersion, Plan, TrainedModel, from_plain, plain
from trimtab.data.batches import refs, sufficiently_labelled
from trimtab.errors import NotEnoughBatches
from trimtab.params import Params

BACKFILLED = 6
"""Number of newest batches on which a candidate is scored after the fact when it enters the race."""
_FEWEST = 3
"""Smallest number of labelled batches: one to fit on, and two to be scored on."""


def plan_batch(
    *,
    params: Params,
    commit: str,
    manifests: Sequence[Manifest],
    batch: str,
    models: Sequence[TrainedModel] = (),
    shadows: Mapping[str, str] | None = None,
    candidates: Sequence[Candidate] = (),
    entering: Sequence[Candidate] = (),
    decision: str | None = None,
) -> Plan:
    """Plan to score models on a batch, and to fit the candidates through it.

    Args:
        params: At the commit.
        commit: Of the origin.
        manifests: All batches in force.
        batch: Its batch. Those before it are read, and those after it are not.
        models: Models to score; none before the first shadows were fitted.
        shadows: The MLflow run of each candidate's newest model among `models`.
        candidates: What to fit through the batch.
        entering: What to fit after the fact through each of the six batches before it as well, or less of a short history,
            and to score on the batch after each.
        decision: What asked for it besides the batch: a run of the arbiter, or the entry of a recipe.
    """
    ordered = _labelled(manifests, params)
    ordered = ordered[: [each.batch for each in ordered].index(batch) + 1]
    names = [each.batch for each in ordered]
    scored = names[1:][-BACKFILLED:] if entering else names[-1:] if models else []
    return Plan(
        model=params.model.name,
        commit=commit,
        cutoff=max(manifest.end for manifest in manifests),
        batches=refs(ordered),
        scored=tuple(scored),
        fits=(*_fits(entering, names[-len(scored) - 1 :]), *_fits(candidates, names[-1:])),
        models=tuple(models),
        shadows=shadows or {},
        decision=decision,
    )


def plan_backfill(
    *,
    params: Params,
    commit: str,
    manifests: Sequence[Manifest],
    candidates: Sequence[Candidate],
    models: Sequence[TrainedModel] = (),
    decision: str | None = None,
) -> Plan:
    """Plan to fit candidates after the fact, and to score them and the models, through the newest batch.

    Raises:
        NotEnoughBatches: There are fewer than three labelled batches.
    """
    ordered = _labelled(manifests, params)
    if len(ordered) < _FEWEST:
        raise NotEnoughBatches(len(ordered), _FEWEST, "A comparison of models")
    return plan_batch(
        params=params,
        commit=commit,
        manifests=manifests,
        batch=ordered[-1].batch,
        models=models,
        entering=candidates,
        decision=decision,
    )


def _fits(candidates: Sequence[Candidate], batches: Sequence[str]) -> tuple[Fit, ...]:
    return tuple(
        Fit(candidate=each.name, through=through, window=each.window, recipe=each.recipe)
        for through in batches
        for each in candidates
    )


def _labelled(manifests: Sequence[Manifest], params: Params) -> list[Manifest]:
    return sorted(sufficiently_labelled(manifests, params.data), key=lambda manifest: manifest.start)


def write_run(path: Path, plan: Plan) -> None:
    """Write `run.yaml`; equal plans are equal to the byte."""
    path.write_text(yaml.safe_dump(plain(plan), sort_keys=True), encoding="utf-8")


def read_run(path: Path) -> Plan:
    """Read `run.yaml`."""
    return from_plain(Plan, yaml.safe_load(path.read_text(encoding="utf-8")))


def write_champion(path: Path, champion: ModelVersion | None) -> None:
    """Write `champion.yaml`, which `dvc repro` watches."""
    content = yaml.safe_dump({"champion": plain(champion) if champion else None}, sort_keys=True)
    path.write_text(content, encoding="utf-8")


def read_champion(path: Path) -> ModelVersion | None:
    """Read `champion.yaml`; None compares the models with the baseline."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))["champion"]
    return None if content is None else from_plain(ModelVersion, content)
