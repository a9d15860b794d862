"""The plan of one retraining, and its canonical form `run.yaml`."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from trimtab.contracts import Manifest, ModelVersion, Plan, Verdict, from_plain, plain
from trimtab.data.batches import refs, split, sufficiently_labelled
from trimtab.errors import NotEnoughBatches
from trimtab.params import Params


def make_plan(
    *,
    params: Params,
    commit: str,
    manifests: Sequence[Manifest],
    champion: ModelVersion | None,
    window_batches: int | None = None,
    decision: str | None = None,
    dry_run: bool = False,
) -> Plan:
    """Choose what to train on and what to judge on; the label cut-off is the end of the newest batch.

    Raises:
        NotEnoughBatches: See `data.batches.split`.
    """
    train, judge = split(
        sufficiently_labelled(manifests, params.data),
        judge=params.gate.judge_batches,
        window=window_batches or params.train.window_batches,
        champion_through=champion.trained_through if champion else None,
    )
    return Plan(
        model=params.model.name,
        commit=commit,
        cutoff=max(manifest.end for manifest in manifests),
        train=train,
        judge=judge,
        champion=champion,
        decision=decision,
        dry_run=dry_run,
        window_batches=window_batches,
    )


def make_look(
    *,
    params: Params,
    commit: str,
    manifests: Sequence[Manifest],
    champion: ModelVersion | None,
    challenger: ModelVersion,
    before: Verdict,
    decision: str,
) -> Plan:
    """Plan the next look at a challenger: the batches that came since the last one judge, all before them train.

    With `gate.refit` it is the recipe that is judged: fitted again up to the batches that judge it, as it would be if
    it served.

    Raises:
        NotEnoughBatches: No labelled batch came since the last look.
    """
    seen = {block.batch for block in before.blocks} | {ref.batch for ref in before.judged_on}
    ordered = sorted(sufficiently_labelled(manifests, params.data), key=lambda manifest: manifest.start)
    since = max(
        (manifest.end for manifest in ordered if manifest.batch in seen), default=challenger.trained_through
    )
    new = [manifest for manifest in ordered if manifest.start >= since]
    if not new:
        raise NotEnoughBatches(0, 1, "The next look at a challenger")
    train = [manifest for manifest in ordered if manifest.end <= new[0].start]
    window = params.train.window_batches
    return Plan(
        model=params.model.name,
        commit=commit,
        cutoff=max(manifest.end for manifest in manifests),
        train=refs(train if window is None else train[-window:]),
        judge=refs(new),
        champion=champion,
        decision=decision,
        challenger=challenger,
        look=before.look + 1,
        judged=before.blocks,
    )


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
    """Read `champion.yaml`; None lets the baseline play champion."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))["champion"]
    return None if content is None else from_plain(ModelVersion, content)
