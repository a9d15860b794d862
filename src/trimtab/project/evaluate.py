"""`trimtab evaluate`: challenger and champion on the same rows that neither has seen, and the gate's verdict."""

import json
import time
from pathlib import Path

import pandas as pd
from sklearn.pipeline import Pipeline

from trimtab import params, settings
from trimtab.contracts import BatchScore, Block, Plan, Training, Verdict, from_json, to_json
from trimtab.data.batches import BATCH
from trimtab.evaluate import evidence, looks, probes
from trimtab.evaluate.checks import Measured, check_all
from trimtab.evaluate.compare import blocks_of
from trimtab.evaluate.scores import row_losses, score
from trimtab.evaluate.weigh import weigh
from trimtab.registry import load, tracking
from trimtab.train import fit
from trimtab.train import row_groups as files
from trimtab.train.features import targets
from trimtab.trigger.planning import read_champion, read_run

_TIMED_ROWS = 1000
_TIMED_TRIES = 3


def evaluate(root: Path = Path()) -> Verdict:
    """Judge the model of `build/training.json`, and write `verdict.json` and its evidence to `build/`.

    Raises:
        GateDead: A probe was judged wrongly, so that no verdict can be trusted.
        UnsafeModel: A model cannot be loaded safely.
    """
    wanted, plan = params.load(root / params.FILE), read_run(root / "run.yaml")
    training = from_json(Training, (root / "build" / "training.json").read_bytes())
    rows = pd.read_parquet(root / "build" / "judge.parquet")
    name, models = _models(root, wanted, training)
    gate, probed = looks.gate_for(plan.champion, wanted.gate), probes.run(wanted.gate, wanted.data.label)
    found = _measure(wanted, rows, models, load.megabytes(training.digest, cache=_cache()))
    blocks = _blocks(plan, found, gate)
    checks = check_all(found, gate)
    weighed = weigh(blocks, checks, gate, look=plan.look, champion=name)
    verdict = Verdict(
        kind=weighed.kind,
        reason=weighed.reason,
        look=plan.look,
        comparison=weighed.comparison,
        blocks=blocks,
        checks=checks,
        probes=probed,
        judged_on=plan.judge,
        champion=name,
        challenger_scores=_by_batch(found, "challenger", gate),
        champion_scores=_by_batch(found, "champion", gate),
        cutoff=plan.cutoff,
    )
    _write(root, plan, verdict, gate)
    return verdict


def _models(root: Path, wanted: params.Params, training: Training) -> tuple[str, dict[str, Pipeline]]:
    baseline = fit.fit_rows(fit.baseline(wanted), wanted, files.read(root / "build" / "train.parquet"))
    challenger = _load(wanted, training.source, training.digest)
    named = read_champion(root / "champion.yaml")
    if named is None:
        return "the baseline", {"challenger": challenger, "champion": baseline}
    champion = _load(wanted, named.source, named.digest)
    return f"version {named.version}", {"challenger": challenger, "champion": champion, "baseline": baseline}


def _measure(
    wanted: params.Params, rows: pd.DataFrame, models: dict[str, Pipeline], megabytes: float
) -> Measured:
    label, truths = wanted.data.label, targets(rows, wanted.data)
    answers = {role: fit.answers(model, wanted, rows) for role, model in models.items()}
    return Measured(
        label=label,
        rows=rows,
        truths=truths,
        predictions=answers,
        losses={role: row_losses(wanted.gate.metric, label, truths, one) for role, one in answers.items()},
        milliseconds_per_row=_milliseconds(models["challenger"], wanted, rows.head(_TIMED_ROWS)),
        model_megabytes=megabytes,
    )


def _milliseconds(model: Pipeline, wanted: params.Params, rows: pd.DataFrame) -> float:
    taken = []
    for _ in range(_TIMED_TRIES):
        began = time.perf_counter()
        fit.answers(model, wanted, rows)
        taken.append(time.perf_counter() - began)
    return 1000 * min(taken) / max(1, len(rows))


def _blocks(plan: Plan, found: Measured, gate: params.Gate) -> tuple[Block, ...]:
    batches, times = found.rows[BATCH].tolist(), found.rows["event_time"].tolist()
    return (
        *plan.judged,
        *blocks_of(batches, times, found.losses["champion"], found.losses["challenger"], gate),
    )


def _load(wanted: params.Params, source: str, digest: str) -> Pipeline:
    return load.load(source, digest, wanted.model.trusted_types, cache=_cache())


def _cache() -> Path:
    return settings.read().home / "models"


def _by_batch(found: Measured, role: str, gate: params.Gate) -> tuple[BatchScore, ...]:
    answers, truths = found.predictions[role], found.truths
    return tuple(
        score(str(batch), found.label, truths[rows], answers[rows], gate.metric)
        for batch, rows in found.rows.groupby(BATCH, sort=False).indices.items()
    )


def _write(root: Path, plan: Plan, verdict: Verdict, gate: params.Gate) -> None:
    build, figures = root / "build", verdict.comparison
    (build / "verdict.json").write_text(to_json(verdict), encoding="utf-8")
    metrics = {
        "verdict": verdict.kind,
        "gain": {"estimate": figures.gain, "lower": figures.lower, "upper": figures.upper},
        "challenger": {
            "loss": figures.challenger_loss,
            "auc": [one.auc for one in verdict.challenger_scores],
        },
        "champion": {"loss": figures.champion_loss, "auc": [one.auc for one in verdict.champion_scores]},
        "blocks": figures.blocks,
        "rows": figures.rows,
    }
    (build / "metrics.json").write_text(json.dumps(metrics, indent=2, sort_keys=True), encoding="utf-8")
    lines = [
        f"{number},{one.champion / one.rows},{one.challenger / one.rows}"
        for number, one in enumerate(verdict.blocks)
    ]
    (build / "losses.csv").write_text("\n".join(["block,champion,challenger", *lines, ""]), encoding="utf-8")
    page = build / "evidence.html"
    page.write_text(evidence.page(verdict, gate), encoding="utf-8")
    tags = {"trimtab.commit": plan.commit, "trimtab.decision": plan.decision or "a person's own run"}
    with tracking.open_run(plan.model, tags=tags):
        tracking.log_verdict(verdict, page)
