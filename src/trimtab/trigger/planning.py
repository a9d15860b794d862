"""The plan of one retraining, and its canonical form `run.yaml`."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from trimtab import params
from trimtab.contracts import Champion, Manifest, Plan, plain
from trimtab.data.batches import split
from trimtab.registry.rows import value


def make_plan(
    *,
    wanted: params.Params,
    commit: str,
    manifests: Sequence[Manifest],
    champion: Champion | None,
    window_batches: int | None = None,
    decision: str | None = None,
    dry_run: bool = False,
) -> Plan:
    """Choose what to train on and what to judge on; the label cut-off is the end of the newest batch.

    Raises:
        NotEnoughBatches: See `data.batches.split`.
    """
    train, judge = split(
        manifests,
        judge=wanted.gate.judge_batches,
        window=window_batches or wanted.train.window_batches,
        champion_through=champion.trained_through if champion else None,
    )
    return Plan(
        model=wanted.model.name,
        commit=commit,
        cutoff=max(manifest.end for manifest in manifests),
        train=train,
        judge=judge,
        champion=champion,
        decision=decision,
        dry_run=dry_run,
    )


def write_run(path: Path, plan: Plan) -> None:
    """Write `run.yaml`; equal plans are equal to the byte."""
    path.write_text(yaml.safe_dump(plain(plan), sort_keys=True), encoding="utf-8")


def read_run(path: Path) -> Plan:
    """Read `run.yaml`."""
    return value(Plan, yaml.safe_load(path.read_text(encoding="utf-8")))


def write_champion(path: Path, champion: Champion | None) -> None:
    """Write `champion.yaml`, which `dvc repro` watches."""
    content = {"champion": None if champion is None else plain(champion)}
    path.write_text(yaml.safe_dump(content, sort_keys=True), encoding="utf-8")


def read_champion(path: Path) -> Champion | None:
    """Read `champion.yaml`; None lets the baseline play champion."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))["champion"]
    return None if content is None else value(Champion, content)
