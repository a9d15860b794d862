"""Plans of the MLflow Project, and their canonical form `run.yaml`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
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
    candidates: Sequence[Candidate],
    entering: Sequence[Candidate] = (),
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
        entering: What to fit through each of the newest batches, as `plan_backfill` does.
    """
    ordered = _labelled(manifests, params)
    ordered = ordered[: [each.batch for each in ordered].index(batch) + 1]
    names = [each.batch for each in ordered]
    scored = names[1:][-BACKFILLED:] if entering else names[-1:] if models else []
    return Plan(
        model=params.model.name,
        commit=commit,
        cutoff=_cutoff(manifests),
        batches=refs(ordered),
        scored=tuple(scored),
        fits=(*_fits(entering, names[-len(scored) - 1 :]), *_fits(candidates, names[-1:])),
        models=tuple(models),
        shadows=shadows or {},
        decision=f"entry of {entering[0].name}" if entering else None,
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
    """Plan to fit candidates through each of the newest batches, and to score each fit on the batch after it.

    It takes six batches, or less of a short history.

    Raises:
        NotEnoughBatches: There are fewer than three labelled batches.
    """
    ordered = _labelled(manifests, params)
    if len(ordered) < _FEWEST:
        raise NotEnoughBatches(len(ordered), _FEWEST, "A comparison of models")
    names = [manifest.batch for manifest in ordered]
    scored = names[1:][-BACKFILLED:]
    return Plan(
        model=params.model.name,
        commit=commit,
        cutoff=_cutoff(manifests),
        batches=refs(ordered),
        scored=tuple(scored),
        fits=_fits(candidates, names[-len(scored) - 1 :]),
        models=tuple(models),
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


def _cutoff(manifests: Sequence[Manifest]) -> datetime:
    return max(manifest.end for manifest in manifests)


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
